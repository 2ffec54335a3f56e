package calico

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

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
	if passed := passes(fresh); len(passed) > 0 && !old.Kind.Staged() && !dryRun {
		first = closed(fresh)
	}
	out := []cluster.Change{{Object: first, IfAbsent: true}, {Delete: old}}
	if first != fresh {
		out = append(out, cluster.Change{Object: fresh})
	}
	return out
}

// eachRule calls f for the rules of a policy, by where they are in it.
func eachRule(u *unstructured.Unstructured, f func(path string, rule map[string]any)) {
	spec, _ := u.Object["spec"].(map[string]any)
	for _, direction := range []string{"ingress", "egress"} {
		rules, _ := spec[direction].([]any)
		for i, r := range rules {
			if rule, ok := r.(map[string]any); ok {
				f(fmt.Sprintf("spec.%s[%d]", direction, i), rule)
			}
		}
	}
}

// passes are the places of the rules of a policy that pass on.
func passes(u *unstructured.Unstructured) []string {
	var out []string
	eachRule(u, func(path string, rule map[string]any) {
		if rule["action"] == policy.Pass.String() {
			out = append(out, path)
		}
	})
	return out
}

// closed is a policy that denies what it would pass on.
func closed(u *unstructured.Unstructured) *unstructured.Unstructured {
	out := u.DeepCopy()
	eachRule(out, func(_ string, rule map[string]any) {
		if rule["action"] == policy.Pass.String() {
			rule["action"] = policy.Deny.String()
		}
	})
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
func move(ctx context.Context, st step, do write) (cluster.Result, error) {
	out := cluster.Result{Key: st.shown, Outcome: cluster.Configured}
	for i, c := range st.moves {
		if i == 2 {
			// Both steps before are done, and until this one is what passes is denied:
			// Ctrl-C waits for it.
			ctx = context.WithoutCancel(ctx)
		}
		rs, err := do(ctx, []cluster.Change{c})
		for wait := firstWait; err != nil && i == 2 && wait < 32*firstWait; wait *= 2 {
			time.Sleep(wait)
			rs, err = do(ctx, []cluster.Change{c})
		}
		if err != nil {
			return out, st.stopped(i, err)
		}
		if c.Object != nil && len(rs) == 1 {
			out.Version, out.Where = rs[0].Version, rs[0].Where
		}
	}
	return out, nil
}

// firstWait is how long a move waits before it tries its last step again; it
// waits longer each time.
const firstWait = 50 * time.Millisecond

// stopped is the error of a move that stopped at a step.
func (st step) stopped(at int, err error) error {
	fresh := cluster.KeyOf(st.moves[0].Object)
	switch at {
	case 0:
		return err
	case 1:
		old := st.moves[1].Delete
		f := &cluster.Failure{
			What:  fmt.Sprintf("%s is made, but %s can't be deleted, so both are in force", fresh, old),
			Where: []string{err.Error()}, Try: "netpol delete policies " + old.Name + flag(old.Namespace), Err: errors.Join(ErrBoth, err), Partly: true,
		}
		if len(st.moves) > 2 { // the new one alone would be another policy
			f.Where = append(f.Where, fmt.Sprintf("%s denies what it is to pass on by %s", fresh, strings.Join(passes(st.moves[2].Object), ", ")))
			f.Try = "netpol delete policies " + fresh.Name + flag(fresh.Namespace) + ", then the same again"
		}
		return f
	}
	return &cluster.Failure{
		What:  fmt.Sprintf("%s is moved, but what it passes on is denied: its rules could not be set back", fresh),
		Where: append([]string{err.Error()}, passes(st.moves[at].Object)...),
		Try:   "set these rules to action Pass: kubectl edit " + strings.TrimSuffix(strings.ToLower(string(fresh.Kind)), "y") + "ies.projectcalico.org " + fresh.Name + flag(fresh.Namespace), Err: err, Partly: true,
	}
}

func flag(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " -n " + namespace
}
