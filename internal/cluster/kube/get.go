package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Get reads one resource. A Change with this object, or a deletion of this key,
// fails with ErrConflict if somebody has changed it by then.
func (s *Store) Get(ctx context.Context, key policy.Key) (*unstructured.Unstructured, error) {
	u, err := s.live(ctx, key, cluster.GVK(key.Kind))
	if err != nil {
		return nil, err
	}
	s.remember(key, u)
	return s.public(u), nil
}

// List reads the resources of a kind.
func (s *Store) List(ctx context.Context, kind policy.Kind, namespace string) ([]*unstructured.Unstructured, error) {
	res, err := s.resource(ctx, kind, cluster.GVK(kind))
	if err != nil {
		return nil, err
	}
	namespaces := []string{namespace}
	var out []*unstructured.Unstructured
	for i := 0; i < len(namespaces); i++ {
		list, err := s.listObjects(ctx, res, namespaces[i])
		switch {
		case apierrors.IsNotFound(err) && known(kind): // there is no such API here
		case apierrors.IsForbidden(err) && namespaces[i] == "" && res.Namespaced && len(s.opts.Namespaces) > 0:
			namespaces = append(namespaces, s.opts.Namespaces...)
		case err != nil:
			return nil, s.fail(request{verb: "list", resource: res, namespace: namespaces[i]}, err)
		}
		out = append(out, list...)
	}
	for i, u := range out {
		s.remember(cluster.KeyOf(u), u)
		out[i] = s.public(u)
	}
	slices.SortStableFunc(out, func(a, b *unstructured.Unstructured) int {
		return cluster.KeyOf(a).Compare(cluster.KeyOf(b))
	})
	return out, nil
}

func (c *core) listObjects(ctx context.Context, res Resource, namespace string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	err := c.pages(ctx, res, namespace, func(body []byte, first bool) (next string, err error) {
		if first {
			out = nil
		}
		var page unstructured.UnstructuredList
		if err := json.Unmarshal(body, &page); err != nil {
			return "", err
		}
		for i := range page.Items {
			out = append(out, &page.Items[i])
		}
		return page.GetContinue(), nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// remember notes which object was handed out under a key.
func (c *core) remember(key policy.Key, u *unstructured.Unstructured) {
	c.mu.Lock()
	c.given[key] = given{string(u.GetUID()), u.GetResourceVersion()}
	c.mu.Unlock()
}

// public is an object as users see it.
func (c *core) public(u *unstructured.Unstructured) *unstructured.Unstructured {
	u.SetManagedFields(nil)
	return c.form.Public(u)
}

// live reads an object as the server has it.
func (c *core) live(ctx context.Context, key policy.Key, gvk schema.GroupVersionKind) (*unstructured.Unstructured, error) {
	res, err := c.resource(ctx, key.Kind, gvk)
	if err != nil {
		return nil, err
	}
	key.Namespace = c.home(res, key.Namespace)
	stored := c.form.Name(key, "")
	body, err := c.get(ctx, res.path(key.Namespace, stored), nil)
	if err != nil {
		return nil, c.fail(request{verb: "get", resource: res, namespace: key.Namespace, name: stored}, err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(body); err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return u, nil
}

// resource is where objects of a kind are. Kinds on which no verdict depends
// are looked up in what the server says of their API.
func (c *core) resource(ctx context.Context, kind policy.Kind, gvk schema.GroupVersionKind) (Resource, error) {
	if known(kind) {
		if res, ok := c.form.Resource(kind); ok {
			return res, nil
		}
		return Resource{}, &cluster.Failure{What: fmt.Sprintf("this cluster keeps no %s", kind), Err: cluster.ErrNotFound}
	}
	res := Resource{GroupVersionResource: gvk.GroupVersion().WithResource(""), Kind: gvk.Kind}
	list, err := c.discover(ctx, gvk.GroupVersion())
	for _, r := range list {
		if r.Kind == gvk.Kind && !slices.Contains([]byte(r.Name), '/') {
			res.GroupVersionResource.Resource, res.Namespaced = r.Name, r.Namespaced
			return res, nil
		}
	}
	if err == nil || apierrors.IsNotFound(err) {
		return res, &cluster.Failure{What: fmt.Sprintf("the API server has no kind %s in %s", gvk.Kind, gvk.GroupVersion()),
			Try: c.kubectl("api-resources"), Err: errors.Join(cluster.ErrNotFound, err)}
	}
	return res, c.fail(request{verb: "discover", resource: res}, err)
}

// home is the namespace of a resource: that of the connection where a kind
// that KeyOf does not know names none.
func (c *core) home(res Resource, namespace string) string {
	switch {
	case !res.Namespaced:
		return ""
	case namespace == "":
		return cmp.Or(c.conn.Namespace, "default")
	}
	return namespace
}

// discover asks which resources the server has of an API.
func (c *core) discover(ctx context.Context, gv schema.GroupVersion) ([]metav1.APIResource, error) {
	path := []string{"/apis", gv.Group, gv.Version}
	if gv.Group == "" {
		path = []string{"/api", gv.Version}
	}
	body, err := c.get(ctx, path, nil)
	var list metav1.APIResourceList
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	return list.APIResources, err
}

// serves says whether the server has a resource; true where that can't be told.
func (c *core) serves(ctx context.Context, res Resource) bool {
	list, err := c.discover(ctx, res.GroupVersion())
	if err != nil {
		return !apierrors.IsNotFound(err)
	}
	return slices.ContainsFunc(list, func(r metav1.APIResource) bool { return r.Name == res.GroupVersionResource.Resource })
}

// known says whether verdicts depend on a kind.
func known(kind policy.Kind) bool { _, ok := plurals[kind]; return ok }
