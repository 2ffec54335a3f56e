// Package install puts what package internal/install renders on a cluster, and
// takes it off again: it looks who else enforces there, applies in an order that
// works, waits for the nodes, and has every node's rules removed at the end.
package install

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	manifest "github.com/netpol-project/netpol/internal/install"
)

// FieldManager is who the objects' fields belong to.
const FieldManager = "netpol"

// Client installs on one cluster.
type Client struct {
	conn *kube.Conn
	dyn  dynamic.Interface
	meta metadata.Interface
	// pause is the time between two looks at what is waited for.
	pause time.Duration
}

// New is a client for a connection. warn gets what the API server warns of.
func New(conn *kube.Conn, warn func(string)) (*Client, error) {
	config := rest.CopyConfig(conn.Config)
	config.WarningHandler = warner(warn)
	// An installation is some fifty requests one after the other.
	config.QPS, config.Burst = 50, 100
	dyn, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	meta, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	return &Client{conn: conn, dyn: dyn, meta: meta, pause: 500 * time.Millisecond}, nil
}

type warner func(string)

// HandleWarningHeader is rest.WarningHandler's.
func (w warner) HandleWarningHeader(code int, _, text string) {
	if code == 299 && text != "" {
		w(text)
	}
}

// at is where an object is.
func (c *Client) at(u *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	r, err := manifest.ResourceOf(u.GroupVersionKind())
	if err != nil {
		return nil, err
	}
	return c.in(r, u.GetNamespace()), nil
}

func (c *Client) in(r schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return c.dyn.Resource(r)
	}
	return c.dyn.Resource(r).Namespace(namespace)
}

var (
	namespaces        = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	nodes             = schema.GroupVersionResource{Version: "v1", Resource: "nodes"}
	pods              = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	daemonSets        = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "daemonsets"}
	claims            = schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}
	volumes           = schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumes"}
	storageClasses    = schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"}
	deployments       = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	crds              = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	admissionPolicies = schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: "validatingadmissionpolicies"}
)

// get is an object, nil if there is none.
func (c *Client) get(ctx context.Context, r schema.GroupVersionResource, namespace, name string) (*unstructured.Unstructured, error) {
	u, err := c.in(r, namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	return u, c.fail("get "+r.GroupResource().String()+" "+name, err)
}

// pageSize bounds what one answer lists.
const pageSize = 500

// each lists objects page by page. A kind that the server does not know has
// none.
func (c *Client) each(ctx context.Context, r schema.GroupVersionResource, opts metav1.ListOptions, visit func(*unstructured.Unstructured)) error {
	opts.Limit = pageSize
	for {
		list, err := c.dyn.Resource(r).List(ctx, opts)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return c.fail("list "+r.GroupResource().String(), err)
		}
		for i := range list.Items {
			visit(&list.Items[i])
		}
		if opts.Continue = list.GetContinue(); opts.Continue == "" {
			return nil
		}
	}
}

// eachMeta lists the metadata of objects as each lists objects, of all namespaces
// where none is named.
func (c *Client) eachMeta(ctx context.Context, r schema.GroupVersionResource, namespace string, opts metav1.ListOptions, visit func(*metav1.PartialObjectMetadata)) error {
	opts.Limit = pageSize
	for {
		list, err := c.meta.Resource(r).Namespace(namespace).List(ctx, opts)
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return c.fail("list "+r.GroupResource().String(), err)
		}
		for i := range list.Items {
			visit(&list.Items[i])
		}
		if opts.Continue = list.GetContinue(); opts.Continue == "" {
			return nil
		}
	}
}

// fail is an error of a request as users see it.
func (c *Client) fail(what string, err error) error {
	var status *apierrors.StatusError
	var failure *cluster.Failure
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.As(err, &failure):
		return err
	case apierrors.IsUnauthorized(err):
		return &cluster.Failure{What: "the API server does not know who you are: the credentials are expired or wrong", Where: []string{"for: " + what},
			Try: c.kubectl("auth whoami"), Err: err}
	case apierrors.IsTooManyRequests(err):
		return &cluster.Failure{What: "the API server is busy and asks to come back later: could not " + what, Where: []string{err.Error()},
			Try: "the same again in a minute: what is done is not done twice", Err: err}
	case apierrors.IsConflict(err):
		return &cluster.Failure{What: "could not " + what + ": somebody else changed it at the same time", Where: []string{err.Error()}, Try: "the same again", Err: err}
	case apierrors.IsForbidden(err):
		return &cluster.Failure{What: "you may not " + what, Where: []string{err.Error()},
			Try: c.kubectl("auth can-i --list") + "; installing takes the rights of cluster-admin", Err: err}
	case errors.As(err, &status):
		return &cluster.Failure{What: "the API server refused to " + what, Where: causes(status), Try: c.kubectl("get --raw '/readyz?verbose'") + ", and the API server's log", Err: err}
	}
	text := err.Error()
	if u := (*url.Error)(nil); errors.As(err, &u) {
		text = u.Err.Error()
	}
	return &cluster.Failure{What: "the API server " + c.conn.Config.Host + " can't be reached", Where: []string{text, "for: " + what},
		Try: c.kubectl("cluster-info"), Err: err}
}

func causes(err *apierrors.StatusError) []string {
	var out []string
	if d := err.ErrStatus.Details; d != nil {
		for _, c := range d.Causes {
			out = append(out, strings.TrimPrefix(c.Field+": "+c.Message, ": "))
		}
	}
	if len(out) == 0 {
		out = []string{err.ErrStatus.Message}
	}
	return out
}

// kubectl is a command of kubectl for this cluster.
func (c *Client) kubectl(command string) string {
	return c.conn.Kubectl(command)
}

// sleep waits a moment, or until ctx ends.
func (c *Client) sleep(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(c.pause):
		return nil
	}
}

// title is an object as kubectl names it: daemonset.apps/netpol-agent.
func title(u *unstructured.Unstructured) string {
	gvk := u.GroupVersionKind()
	kind := strings.ToLower(gvk.Kind)
	if gvk.Group != "" {
		kind += "." + gvk.Group
	}
	return kind + "/" + u.GetName()
}
