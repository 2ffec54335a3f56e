package kube

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/netpol-project/netpol/pkg/policy"
)

// pageSize is how many objects one request lists.
const pageSize = 500

// listed is all resources of a kind at one moment.
type listed struct {
	items   []policy.Served
	version string
}

// listKind lists a kind in a namespace, or in all. A collection that the server
// does not have is an error that Is NotFound for client-go.
func (c *core) listKind(ctx context.Context, res Resource, namespace string) (*listed, error) {
	var out *listed
	err := c.pages(ctx, res, namespace, func(body []byte, first bool) (next string, err error) {
		if first {
			out = &listed{}
		}
		page, err := c.dec.ServedList(body, apiVersion(res), res.Kind, func(s policy.Served) {
			c.form.Read(&s)
			out.items = append(out.items, s)
		})
		out.version = page.Version
		return page.Next, err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// listAgain is how often a list begins anew because the server forgot the moment
// that its first page was of.
const listAgain = 3

// pages reads a collection page by page. take is told where it begins anew, and
// gives what the next page is asked for by.
func (c *core) pages(ctx context.Context, res Resource, namespace string, take func(body []byte, first bool) (next string, err error)) error {
	for next, again := "", 0; ; {
		body, err := c.get(ctx, res.path(namespace, ""), params{"limit": strconv.Itoa(pageSize), "continue": next})
		if err != nil && next != "" && apierrors.IsResourceExpired(err) && again < listAgain {
			next, again = "", again+1
			continue
		}
		if err != nil {
			return err
		}
		if next, err = take(body, next == ""); err != nil {
			return fmt.Errorf("%s: %w", res, err)
		}
		if next == "" {
			return nil
		}
	}
}

func apiVersion(r Resource) string { return r.GroupVersion().String() }

// reading is what was read of a cluster.
type reading struct {
	cache *cache
	kinds []policy.Kind
	// unread are the kinds that could not be read in all namespaces, or (of
	// those without namespaces) not at all.
	partly, unread []string
}

func (r *reading) covers(kinds []policy.Kind) bool {
	for _, k := range kinds {
		if !slices.Contains(r.kinds, k) {
			return false
		}
	}
	return true
}

// readAll reads all resources of some kinds.
func (c *core) readAll(ctx context.Context, kinds []policy.Kind) (*reading, error) {
	r := &reading{cache: newCache(), kinds: kinds}
	var mu sync.Mutex
	var denied []error
	var group errgroup.Group
	for _, kind := range kinds {
		res, ok := c.form.Resource(kind)
		if !ok {
			continue
		}
		group.Go(func() error {
			l, err := c.listKind(ctx, res, "")
			in := ""
			if apierrors.IsForbidden(err) && res.Namespaced && len(c.opts.Namespaces) > 0 {
				l, err = c.listIn(ctx, res)
				in = strings.Join(c.opts.Namespaces, ", ")
			}
			// Rights are asked before it is looked whether there is such an API.
			absent := apierrors.IsNotFound(err) || apierrors.IsForbidden(err) && !c.serves(ctx, res)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case absent:
			case err == nil:
				r.cache.replace(kind, l.items, l.version)
				if in != "" {
					r.partly = append(r.partly, res.String())
				}
			case apierrors.IsForbidden(err) && (helpful(kind) || len(c.opts.Namespaces) > 0 && !res.Namespaced):
				r.unread = append(r.unread, res.String())
			case apierrors.IsForbidden(err):
				denied = append(denied, c.fail(request{verb: "list", resource: res}, err))
			default:
				return c.fail(request{verb: "list", resource: res}, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if len(denied) > 0 {
		return nil, c.deniedAll(denied)
	}
	c.tellGaps(r)
	return r, nil
}

// listIn lists a kind in the namespaces that the user looks at.
func (c *core) listIn(ctx context.Context, res Resource) (*listed, error) {
	var all listed
	for _, ns := range c.opts.Namespaces {
		l, err := c.listKind(ctx, res, ns)
		if err != nil {
			return nil, err
		}
		all.items, all.version = append(all.items, l.items...), l.version
	}
	return &all, nil
}
