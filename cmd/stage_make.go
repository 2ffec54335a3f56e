package cmd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// denyAll stages the one default-deny for all namespaces asked for.
func (o *StageOptions) denyAll(ctx context.Context, w *world) ([]cluster.Change, error) {
	staged, err := w.optional(ctx, policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: stage.DefaultDenyName})
	if err != nil {
		return nil, err
	}
	enforced, err := w.optional(ctx, policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: stage.DefaultDenyName})
	if err != nil {
		return nil, err
	}
	object, changed, err := stage.DefaultDeny(stage.DenyRequest{
		Namespaces: o.Namespaces, All: o.All, Staged: staged, Enforced: enforced,
	})
	if err != nil {
		return nil, err
	}
	if !changed && !policy.Kind(object.GetKind()).Staged() {
		o.IO.ErrPrinter().Printf("%s is enforced already and covers all of that\n", cluster.KeyOf(object))
		return nil, nil
	}
	return []cluster.Change{{Object: object}}, nil
}

// denyEach stages a default-deny in each namespace. One that is there stays as
// it is.
func (o *StageOptions) denyEach(ctx context.Context, w *world) ([]cluster.Change, error) {
	names := o.Namespaces
	if o.All {
		for _, n := range namespaceNames(w) {
			if !slices.Contains(stage.Exempt(), n) {
				names = append(names, n)
			}
		}
	}
	var out []cluster.Change
	for _, ns := range names {
		fresh := stage.DefaultDenyIn(ns)
		key := cluster.KeyOf(fresh)
		old, err := w.optional(ctx, key)
		if err != nil {
			return nil, err
		}
		if old != nil && !stage.ClosesAll(old) {
			return nil, fmt.Errorf("%s: %w", key, stage.ErrNotDefaultDeny)
		}
		if old != nil {
			fresh = old
		}
		out = append(out, cluster.Change{Object: fresh})
	}
	return out, nil
}

// copyOf stages a copy, or the deletion, of an enforced policy.
func (o *StageOptions) copyOf(ctx context.Context, w *world) ([]cluster.Change, error) {
	namespace := strings.Join(o.Namespaces, "")
	key, err := w.find("policy", enforcedKinds, o.Name, namespace)
	if err != nil {
		return nil, err
	}
	u, err := w.store.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	action := policy.StagedSet
	if o.Delete {
		action = policy.StagedDelete
	}
	staged, err := stage.Stage(u, action)
	if err != nil {
		return nil, err
	}
	if twin := cluster.KeyOf(staged); slices.Contains(w.keys, twin) {
		return nil, &cli.Error{What: twin.String() + " exists already", Try: "netpol unstage " + o.Name}
	}
	return []cluster.Change{{Object: staged, IfAbsent: true}}, nil
}

// fromFiles stages the policies of manifests; tiers in them are applied.
func (o *StageOptions) fromFiles(w *world) ([]cluster.Change, error) {
	objects, err := readManifests(o.IO.In, o.Files, o.Recursive)
	if err != nil {
		return nil, err
	}
	staged := make([]*unstructured.Unstructured, 0, len(objects))
	for _, u := range objects {
		if cluster.KeyOf(u).Kind != policy.KindTier {
			if u, err = stage.Stage(u, policy.StagedSet); err != nil {
				return nil, err
			}
		}
		staged = append(staged, u)
	}
	namespace := ""
	if len(o.Namespaces) == 1 {
		namespace = o.Namespaces[0]
	}
	return applyChanges(w, staged, namespace)
}

// optional reads a resource; nil if it is not there.
func (w *world) optional(ctx context.Context, key policy.Key) (*unstructured.Unstructured, error) {
	if !slices.Contains(w.keys, key) {
		return nil, nil
	}
	return w.store.Get(ctx, key)
}
