package install

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	manifest "github.com/netpol-project/netpol/internal/install"
)

// RemoveOptions say what is removed.
type RemoveOptions struct {
	// Agent is the DaemonSet of the agents as Detect found it, nil if there is none.
	Agent *unstructured.Unstructured
	// Cleanup is the DaemonSet that removes rules from nodes; nil: they stay.
	Cleanup *unstructured.Unstructured
	// Namespace is where Cleanup runs, to be made if it is not there.
	Namespace *unstructured.Unstructured
	// Purge removes the kinds of policies too, with every policy of them.
	Purge bool
	// Wait waits until nothing is left.
	Wait bool
	// Within bounds the wait for the nodes, and the one for the rest.
	Within time.Duration
	// Tell gets each thing that was removed, Progress how many nodes are clean.
	Tell     func(Result)
	Progress func(clean, nodes int)
}

// Remove takes netpol off the cluster: the agents first, then with their nodes'
// own help the rules, then everything else. Nodes whose rules may still be
// there are told, with the reason; what is on the API server is gone
// nevertheless.
func (c *Client) Remove(ctx context.Context, opts RemoveOptions) (dirty map[string]string, err error) {
	had, err := c.agentNodes(ctx)
	if err != nil {
		return nil, err
	}
	if opts.Agent != nil {
		if _, err := c.remove(ctx, opts.Agent, false); err != nil {
			return nil, err
		}
		opts.Tell(Result{Object: opts.Agent, Outcome: cluster.Deleted})
		if err := c.awaitAgents(ctx, min(opts.Within, agentsEnd)); err != nil {
			return nil, err
		}
	}
	if opts.Cleanup != nil {
		if dirty, err = c.clean(ctx, opts, had); err != nil {
			return dirty, err
		}
	}
	if err := c.removeRest(ctx, opts); err != nil {
		return dirty, err
	}
	return dirty, nil
}

// removeRest removes everything but the agents.
func (c *Client) removeRest(ctx context.Context, opts RemoveOptions) error {
	list, err := c.Installed(ctx)
	if err != nil {
		return err
	}
	slices.Reverse(list)
	var kinds, last []*unstructured.Unstructured
	gone := func(u *unstructured.Unstructured) error {
		was, err := c.remove(ctx, u, false)
		if was {
			opts.Tell(Result{Object: u, Outcome: cluster.Deleted})
		}
		return err
	}
	for _, u := range append(list, c.unlabelled()...) {
		switch u.GetKind() {
		case "CustomResourceDefinition":
			kinds = append(kinds, u)
		case "Namespace":
			last = append(last, u)
		default:
			if err := gone(u); err != nil {
				return err
			}
		}
	}
	// Without the flows server tiers could not be deleted any more.
	if err := c.release(ctx); err != nil {
		return err
	}
	if opts.Purge {
		last = append(kinds, last...)
	} else {
		kinds = nil
	}
	for _, u := range last {
		if err := gone(u); err != nil {
			return err
		}
	}
	if opts.Wait {
		return c.awaitGone(ctx, last, opts.Within)
	}
	return nil
}

// unlabelled is what the flows server has made by itself.
func (c *Client) unlabelled() []*unstructured.Unstructured {
	var out []*unstructured.Unstructured
	for _, kind := range []string{"Secret", "ConfigMap"} {
		u := &unstructured.Unstructured{}
		u.SetAPIVersion("v1")
		u.SetKind(kind)
		u.SetNamespace(manifest.Namespace)
		u.SetName(manifest.CAName)
		out = append(out, u)
	}
	return out
}

// release takes our finalizer off tiers, twice: the right of a flows server that
// is just ending to put it back is gone by then.
func (c *Client) release(ctx context.Context) error {
	keeper, err := kube.NewTierKeeper(c.conn, func(string) {})
	if err != nil {
		return err
	}
	if err := keeper.Release(ctx); err != nil {
		return c.fail("update tiers", err)
	}
	if err := c.sleep(ctx); err != nil {
		return err
	}
	if err := keeper.Release(ctx); err != nil {
		return c.fail("update tiers", err)
	}
	return nil
}

// awaitGone waits until objects are gone, and the namespace's pods with it.
func (c *Client) awaitGone(ctx context.Context, list []*unstructured.Unstructured, within time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for _, u := range list {
		resource, err := c.at(u)
		if err != nil {
			return err
		}
		for {
			_, err := resource.Get(bounded, u.GetName(), metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				break
			}
			if err == nil {
				err = c.sleep(bounded)
			}
			if bounded.Err() != nil && ctx.Err() == nil {
				return &cluster.Failure{What: fmt.Sprintf("%s is not gone after %s", title(u), within), Try: c.kubectl("get " + title(u) + " -o yaml")}
			}
			if err != nil {
				return c.fail("get "+title(u), err)
			}
		}
	}
	return nil
}

// Stored counts the objects that --purge would remove, and their namespaces.
func (c *Client) Stored(ctx context.Context) (objects, inNamespaces int, err error) {
	return c.count(ctx, owned)
}
