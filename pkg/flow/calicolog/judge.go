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
		if f.EnforcedTrace, err = parseTrace(r.Policies.Enforced); err != nil {
			return err
		}
		if f.PendingTrace, err = parseTrace(r.Policies.Pending); err != nil {
			return err
		}
		if len(f.EnforcedTrace)+len(f.PendingTrace) == 0 {
			if err := r.judgeByAll(f); err != nil {
				return err
			}
		}
	}
	f.Enforced = decided(f.EnforcedTrace, action)
	f.Pending = f.Enforced
	if n := len(f.PendingTrace); n > 0 {
		f.Pending = decided(f.PendingTrace, f.PendingTrace[n-1].Action)
	}
	return nil
}

// judgeByAll reads the one list that Calico wrote before it told the two traces
// apart: all hits up to the first enforced policy that decided. What is pending
// is decided by the first that decides, staged or not.
func (r *record) judgeByAll(f *flow.Flow) error {
	all, err := parseTrace(r.Policies.All)
	if err != nil {
		return err
	}
	pending := true
	for _, s := range all {
		if !s.Policy.Kind.Staged() {
			f.EnforcedTrace = append(f.EnforcedTrace, s)
		}
		if pending {
			f.PendingTrace = append(f.PendingTrace, s)
		}
		pending = pending && s.Action == policy.Pass
	}
	return nil
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
