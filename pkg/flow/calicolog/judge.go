package calicolog

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// judge fills in the verdicts of a flow and the ways to them.
func (r *record) judge(f *flow.Flow) error {
	action, err := parseAction(r.Action)
	if err != nil || action == policy.Pass {
		return fmt.Errorf("action %q: expected allow or deny", r.Action)
	}
	if r.Policies != nil {
		t, err := r.Policies.read()
		if err != nil {
			return err
		}
		f.EnforcedTrace, f.PendingTrace = t.enforced, t.pending
	}
	f.Enforced = decided(f.EnforcedTrace, action)
	f.Pending = f.Enforced
	if n := len(f.PendingTrace); n > 0 {
		f.Pending = decided(f.PendingTrace, f.PendingTrace[n-1].Action)
	}
	return nil
}

// traces are the hits on the way to what is enforced and what is pending.
type traces struct{ enforced, pending []flow.Step }

func (p *policies) read() (t traces, err error) {
	if p.own != nil {
		return *p.own, nil
	}
	if t.enforced, err = parseTrace(p.Enforced); err != nil {
		return t, err
	}
	if t.pending, err = parseTrace(p.Pending); err != nil {
		return t, err
	}
	if len(t.enforced)+len(t.pending) > 0 {
		return t, nil
	}
	return tracesOfAll(p.All)
}

// tracesOfAll reads the one list that Calico wrote before it told the two traces
// apart: all hits up to the first enforced policy that decided. What is pending
// is decided by the first that decides, staged or not.
func tracesOfAll(hits []string) (t traces, err error) {
	all, err := parseTrace(hits)
	if err != nil {
		return t, err
	}
	pending := true
	for _, s := range all {
		if !s.Policy.Kind.Staged() {
			t.enforced = append(t.enforced, s)
		}
		if pending {
			t.pending = append(t.pending, s)
		}
		pending = pending && s.Action == policy.Pass
	}
	return t, nil
}

func parseTrace(hits []string) ([]flow.Step, error) {
	var out []flow.Step
	for _, h := range hits {
		s, err := ParseHit(h)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortStableFunc(out, func(a, b flow.Step) int { return cmp.Compare(a.Index, b.Index) })
	return out, nil
}

// decided is the hit that made an action: the last one of that action. Without
// one it was no policy (S9).
func decided(trace []flow.Step, action policy.Action) policy.Hit {
	if action == policy.Pass {
		action = policy.Allow
	}
	for _, s := range slices.Backward(trace) {
		if s.Action == action {
			return s.Hit
		}
	}
	return policy.Hit{Rule: policy.NoPolicy, Action: action}
}
