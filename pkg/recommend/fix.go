package recommend

import (
	"cmp"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// FixRequest says which blocked flows to fix, and how.
type FixRequest struct {
	// Model holds the policies, pods and labels of the present.
	Model *tier.Model
	// Flows are the evidence, probes left out.
	Flows []flow.Flow
	// Only is the staged policy that is looked at alone; zero is all together.
	Only policy.Key
	// Staged stages the edits; otherwise what is not a staged policy already is
	// put in force.
	Staged bool
	// Want says which flows to fix; nil is all. Namespaces bounds them to those
	// with an end there; none is all.
	Want       func(*flow.Observed) bool
	Namespaces []string
	Select
	Write
}

// FixState is what became of a blocked flow.
type FixState string

// The states.
const (
	FixDone     FixState = "fixed"
	FixDecision FixState = "decision" // a rule refuses it by name: for a person
	FixReview   FixState = "review"   // suspicious, for somebody to look at
	FixNoRule   FixState = "noRule"   // no rule can say it
	FixLeft     FixState = "left"     // not asked for
	FixStill    FixState = "blocked"  // blocked in spite of the edits
	// FixUndecided: with some addresses it would be blocked and with others not,
	// and its own is not known.
	FixUndecided FixState = "undecided"
)

// FixGroup is one flow, of however many connections, that would be blocked, or
// may be.
type FixGroup struct {
	Flow *flow.Observed
	// Blocked is what would refuse it, by policy.Direction; nothing if it is
	// undecided.
	Blocked [2]*policy.Hit
	State   FixState
	Reason  string // where it is not fixed
}

// FixResult are the groups, in the order of the flows, and the edits, by key.
type FixResult struct {
	Groups []*FixGroup
	Edits  []*FixEdit
	Proof  FixProof
}

// fixer finds the edits.
type fixer struct {
	req     *FixRequest
	inner   *Request // the request as recommend's parts read it
	labels  *labeler
	review  *review
	targets map[fixKey]*target
	order   []placed // the targets, as they were found
	groups  map[*flow.Observed]*FixGroup
	edits   map[policy.Key]*FixEdit
	made    map[*target]*FixEdit // new policies
}

// Fix finds for each flow that is allowed now and would not be with the staged
// policies the smallest edit that allows it: a port, net or peer more in an Allow
// rule, a rule more in a policy, or a new policy, at each end that refuses it and
// in the tier that does. What a rule refuses by name was refused by somebody's
// hand, and is left to a person.
func Fix(req FixRequest) *FixResult {
	inner := &Request{Model: alone(req.Model, req.Only), Staged: true, Select: req.Select, Write: req.Write}
	rp := replay.New(inner.Model)
	observed := rp.Observed(req.Flows)
	labels := newLabeler(inner.Model.Snapshot(), rp)
	f := &fixer{
		req: &req, inner: inner, labels: labels, review: newReview(inner, labels, observed),
		targets: map[fixKey]*target{}, groups: map[*flow.Observed]*FixGroup{},
		edits: map[policy.Key]*FixEdit{}, made: map[*target]*FixEdit{},
	}
	res := &FixResult{}
	for i := range observed {
		if g := f.group(&observed[i]); g != nil {
			res.Groups = append(res.Groups, g)
		}
	}
	f.write()
	for _, e := range f.edits {
		res.Edits = append(res.Edits, e)
	}
	slices.SortFunc(res.Edits, func(a, b *FixEdit) int { return compareKeysOf(a.Key, b.Key) })
	f.prove(res, observed)
	return res
}

// alone is the model without the staged policies that do not count.
func alone(m *tier.Model, only policy.Key) *tier.Model {
	if only == (policy.Key{}) {
		return m
	}
	s := *m.Snapshot()
	s.Policies = slices.DeleteFunc(slices.Clone(s.Policies), func(p *policy.Policy) bool { return p.Kind.Staged() && p.Key != only })
	return tier.New(&s, m)
}

// write puts the needs into rules, and the rules into policies. A flow that one
// of its ends has no rule for is not fixed at the other end either.
func (f *fixer) write() {
	drop := map[*flow.Observed]bool{}
	for range 2 { // the second time without what the first could not write
		var skipped Result
		f.edits, f.made = map[policy.Key]*FixEdit{}, map[*target]*FixEdit{}
		for _, t := range f.order {
			for d := range t.needs {
				dir := policy.Direction(d)
				t.needs[d] = slices.DeleteFunc(t.needs[d], func(n need) bool { return drop[n.flow] || f.groups[n.flow].State != FixDone })
				f.place(t.tier, t.target, dir, rulesFor(&f.inner.Write, dir, t.target, f.labels, &skipped))
			}
		}
		if len(skipped.Skipped) == 0 {
			return
		}
		for _, s := range skipped.Skipped {
			if g := f.groups[s.Flow]; g != nil && g.State == FixDone {
				g.State, g.Reason = FixNoRule, s.Reason
				drop[s.Flow] = true
			}
		}
	}
}

func compareKeysOf(a, b policy.Key) int {
	return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name), strings.Compare(string(a.Kind), string(b.Kind)))
}
