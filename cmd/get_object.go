package cmd

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// getObjects prints the resources themselves: one as it is, several as a List.
func getObjects(ctx context.Context, opts *GetOptions, w *world, keys []policy.Key) error {
	items := make([]any, 0, len(keys))
	var last *unstructured.Unstructured
	written, err := w.objects(ctx, keys)
	if err != nil {
		return err
	}
	for _, k := range keys {
		u := written[k]
		if u == nil {
			u = w.implied(k)
		}
		items, last = append(items, u.Object), u
	}
	if len(opts.Names) == 1 && len(items) == 1 {
		return printObject(opts.IO, opts.Format, last)
	}
	list := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "List", "items": items}}
	return printObject(opts.IO, opts.Format, list)
}

// objects are resources as they are written down, each kind read once.
func (w *world) objects(ctx context.Context, keys []policy.Key) (map[policy.Key]*unstructured.Unstructured, error) {
	out := map[policy.Key]*unstructured.Unstructured{}
	kinds := map[policy.Kind]bool{}
	for _, k := range keys {
		if kinds[k.Kind] {
			continue
		}
		kinds[k.Kind] = true
		list, err := w.store.List(ctx, k.Kind, "")
		if err != nil {
			return nil, fmt.Errorf("get: %w", err)
		}
		for _, u := range list {
			// It is the store's, for its own checks, and would only confuse.
			u.SetResourceVersion("")
			stage.HideHistory(u) // netpol history shows it
			if key := cluster.KeyOf(u); out[key] == nil {
				out[key] = u
			}
		}
	}
	return out, nil
}

// implied is a resource that is nowhere written down, as it would be: the
// built-in tier, namespaces that others speak of.
func (w *world) implied(k policy.Key) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(cluster.GVK(k.Kind))
	u.SetName(k.Name)
	if k.Namespace != "" {
		u.SetNamespace(k.Namespace)
	}
	if t := w.snap.Tier(k.Name); t != nil && k.Kind == policy.KindTier {
		u.Object["spec"] = map[string]any{"order": int64(t.Order), "defaultAction": t.DefaultAction.String()}
	}
	return u
}
