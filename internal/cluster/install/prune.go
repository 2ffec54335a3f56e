package install

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/netpol-project/netpol/internal/cluster"
	manifest "github.com/netpol-project/netpol/internal/install"
)

// ours selects what netpol install manages. What Helm or another tool has put
// there bears its own name as manager.
const ours = manifest.LabelPartOf + "=" + manifest.Ours + "," + manifest.LabelManagedBy + "=" + manifest.Ours

// lasting are kinds that an upgrade never removes: policies, the flows server's
// authority and flows would go with them.
var lasting = []string{"Namespace", "CustomResourceDefinition", "PersistentVolumeClaim"}

// Installed is what netpol install manages on the cluster, in the order in
// which it is applied.
func (c *Client) Installed(ctx context.Context) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	for _, kind := range manifest.Kinds() {
		r, err := manifest.ResourceOf(kind)
		if err != nil {
			return nil, err
		}
		err = c.eachMeta(ctx, r, manifest.NamespaceOf(kind), metav1.ListOptions{LabelSelector: ours}, func(o *metav1.PartialObjectMetadata) {
			u := &unstructured.Unstructured{}
			u.SetGroupVersionKind(kind)
			u.SetNamespace(o.Namespace)
			u.SetName(o.Name)
			u.SetUID(o.UID)
			out = append(out, u)
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Prune removes what a former installation had and this one has not.
func (c *Client) Prune(ctx context.Context, keep []*unstructured.Unstructured, opts ApplyOptions) error {
	stays := map[string]bool{}
	for _, u := range keep {
		stays[u.GetNamespace()+"/"+title(u)] = true
	}
	have, err := c.Installed(ctx)
	if err != nil {
		return err
	}
	slices.Reverse(have)
	for _, u := range have {
		if stays[u.GetNamespace()+"/"+title(u)] || slices.Contains(lasting, u.GetKind()) {
			continue
		}
		if _, err := c.remove(ctx, u, opts.DryRun); err != nil {
			return err
		}
		opts.Tell(Result{Object: u, Outcome: cluster.Deleted})
	}
	return nil
}

// remove deletes an object, the one that was looked at if its UID is known, and
// tells whether it was there. What it owns goes in the background.
func (c *Client) remove(ctx context.Context, u *unstructured.Unstructured, dryRun bool) (bool, error) {
	resource, err := c.at(u)
	if err != nil {
		return false, err
	}
	background := metav1.DeletePropagationBackground
	opts := metav1.DeleteOptions{PropagationPolicy: &background}
	if uid := u.GetUID(); uid != types.UID("") {
		opts.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	if dryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	err = resource.Delete(ctx, u.GetName(), opts)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, c.fail("delete "+title(u), err)
}
