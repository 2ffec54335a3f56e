package calico

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// moves are the changes that move a policy to another tier under another name:
// the new one is made before the old one goes, so that nothing that it closes is
// ever open for want of it.
//
// Nor does having both open anything: at either end of a connection, what both
// together allow is allowed before the move or after it. Whichever of the two is
// asked first allows or denies what it also does alone. What it does not match,
// the other does not match either, unless a policy in between passed the
// connection on; then only the other is asked, as it is alone. All that they add
// is the end of a tier, which denies or passes on.
//
// That is as much as one atomic change could have: nodes learn of it one after
// the other, so the ends of a connection are judged by before and after then too.
//
// A Pass is the one exception: it would take a connection past the rest of both
// tiers, where before and after it passes one of them alone. So the new policy
// first denies what it is to pass on, and passes it only when the old one is
// gone. For that moment, what its Pass rules match can make no new connections.
func moves(old policy.Key, fresh *unstructured.Unstructured, dryRun bool) []cluster.Change {
	first := fresh
	if !old.Kind.Staged() && !dryRun {
		first = closed(fresh)
	}
	out := []cluster.Change{{Object: first, IfAbsent: true}, {Delete: old}}
	if first != fresh {
		out = append(out, cluster.Change{Object: fresh})
	}
	return out
}

// closed is a policy that denies what it would pass on; the policy itself if it
// passes nothing on.
func closed(u *unstructured.Unstructured) *unstructured.Unstructured {
	out := u.DeepCopy()
	passes := false
	spec, _ := out.Object["spec"].(map[string]any)
	for _, direction := range []string{"ingress", "egress"} {
		rules, _ := spec[direction].([]any)
		for _, r := range rules {
			if rule, ok := r.(map[string]any); ok && rule["action"] == policy.Pass.String() {
				rule["action"] = policy.Deny.String()
				passes = true
			}
		}
	}
	if !passes {
		return u
	}
	return out
}

// copyFor is an object to be made under another name: without what the API
// server says of the old one.
func copyFor(u *unstructured.Unstructured, name string) *unstructured.Unstructured {
	out := u.DeepCopy()
	out.SetName(name)
	for _, field := range []string{"uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "finalizers", "selfLink"} {
		unstructured.RemoveNestedField(out.Object, "metadata", field)
	}
	// Calico's own: the tier, and the metadata of what it keeps.
	unstructured.RemoveNestedField(out.Object, "metadata", "labels", "projectcalico.org/tier")
	unstructured.RemoveNestedField(out.Object, "metadata", "annotations", "projectcalico.org/metadata")
	return out
}

// move carries out a move, one change at a time, so that it is known what is in
// force where it stops.
func (s *named) move(ctx context.Context, st step, dryRun bool) (cluster.Result, error) {
	out := cluster.Result{Key: st.shown, Outcome: cluster.Configured}
	fresh := cluster.KeyOf(st.moves[0].Object)
	for i, c := range st.moves {
		rs, err := s.Store.Change(ctx, []cluster.Change{c}, dryRun)
		switch {
		case err == nil:
		case i == 0:
			return out, err
		case i == 1:
			return out, fmt.Errorf("%s is made, but %s can't be deleted, so %w: %w", fresh, c.Delete, ErrBoth, err)
		default:
			return out, fmt.Errorf("%s is made and %s is deleted, but what it passes on is still denied: %w", fresh, st.moves[1].Delete, err)
		}
		if c.Object != nil && len(rs) == 1 {
			out.Version, out.Where = rs[0].Version, rs[0].Where
		}
	}
	return out, nil
}
