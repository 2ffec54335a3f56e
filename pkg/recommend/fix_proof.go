package recommend

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// FixProof is what the evaluator says of the edits.
type FixProof struct {
	// Blocked flows there were, and how many are after the edits.
	Blocked, Remaining int
	// Undecided are flows of which nobody can say whether they would be blocked
	// after the edits, since an address is not known.
	Undecided int
	// Opened are other observed flows that the edits allow too: they would be
	// refused without them.
	Opened []*flow.Observed
	// NotObserved are workloads and ports that the edits allow too though no flow
	// was seen, Wider nets and network sets with more addresses than were seen.
	NotObserved []Pair
	Wider       []Wider
	// Breaks are observed flows that are allowed without the edits, and that they
	// would refuse: a new policy closes what it does not allow.
	Breaks []Blocked
	// Doubts are those of which nobody can say that for want of an address.
	Doubts []Doubt
}

// prove judges the flows again, with the edits made.
func (f *fixer) prove(res *FixResult, observed []flow.Observed) {
	then := tier.New(withEdits(f.inner.Model.Snapshot(), res.Edits), f.inner.Model)
	rp, before := replay.New(then, f.inner.Model), f.labels.rp
	p := &res.Proof
	for i := range observed {
		o := &observed[i]
		g := f.groups[o]
		refused := func(pairs []tier.Conn) bool { return f.refusal(rp, before, o, pairs) != nil }
		if breaks, doubt := rp.Ask(o, refused, "blocked by the edits", "as now"); breaks {
			p.Breaks = append(p.Breaks, Blocked{Flow: o, By: *f.refusal(rp, before, o, rp.Any(o))})
		} else if doubt != "" {
			p.Doubts = append(p.Doubts, Doubt{Flow: o, Reason: doubt})
		}
		blocked, doubt := rp.Ask(o, func(pairs []tier.Conn) bool { return f.blocked(rp, o, pairs) }, "blocked", "unchanged")
		if g != nil && doubt != "" {
			p.Undecided++
		}
		switch {
		case g != nil && blocked:
			p.Remaining++
			if g.State == FixDone {
				g.State, g.Reason = FixStill, "it would be blocked in spite of the edits"
			}
		case (g == nil || g.State != FixDone) && f.opened(rp, o):
			p.Opened = append(p.Opened, o)
		}
	}
	for _, g := range res.Groups {
		if g.Blocked != ([2]*policy.Hit{}) { // else it is undecided
			p.Blocked++
		}
	}
	p.NotObserved = f.unseen(then, rp, observed)
	p.Wider = wider(f.asPolicies(res.Edits))
}

// withEdits is a snapshot with the edits made.
func withEdits(s *policy.Snapshot, edits []*FixEdit) *policy.Snapshot {
	out := *s
	replaced := map[policy.Key]bool{}
	for _, e := range edits {
		replaced[e.Key] = true
	}
	out.Policies = slices.DeleteFunc(slices.Clone(s.Policies), func(p *policy.Policy) bool { return replaced[p.Key] })
	for _, e := range edits {
		out.Policies = append(out.Policies, e.Model())
	}
	slices.SortFunc(out.Policies, tier.ComparePolicies)
	return &out
}

// blocked says whether a pair of pods of a flow that is allowed now is refused by
// the pending policies with the edits.
func (f *fixer) blocked(then *replay.Replay, o *flow.Observed, pairs []tier.Conn) bool {
	return slices.ContainsFunc(pairs, func(c tier.Conn) bool {
		return !then.Judge(tier.Pending(), o, c).Allowed() && f.labels.rp.Judge(tier.Enforced(), o, c).Allowed()
	})
}

// opened says whether the edits allow a pair of pods of a flow, by the enforced
// policies or by the pending ones, that is refused without them.
func (f *fixer) opened(then *replay.Replay, o *flow.Observed) bool {
	return slices.ContainsFunc(then.Any(o), func(c tier.Conn) bool {
		return slices.ContainsFunc([]tier.Scope{tier.Enforced(), tier.Pending()}, func(s tier.Scope) bool {
			return then.Judge(s, o, c).Allowed() && !f.labels.rp.Judge(s, o, c).Allowed()
		})
	})
}

// refusal is what refuses one of some pairs of pods with the edits that is allowed
// without them, by the enforced policies or by the pending ones; nil if nothing does.
func (f *fixer) refusal(then, before *replay.Replay, o *flow.Observed, pairs []tier.Conn) *policy.Hit {
	for _, scope := range []tier.Scope{tier.Enforced(), tier.Pending()} {
		for _, c := range pairs {
			v := then.Judge(scope, o, c)
			if v.Allowed() || !before.Judge(scope, o, c).Allowed() {
				continue
			}
			if by := v.Denied[policy.Egress]; by != nil {
				return by
			}
			return v.Denied[policy.Ingress]
		}
	}
	return nil
}

// unseen are the pairs that no flow was seen of, and that are possible with the
// edits and not without.
func (f *fixer) unseen(m *tier.Model, rp *replay.Replay, observed []flow.Observed) []Pair {
	var targets []*target
	for _, p := range f.order {
		targets = append(targets, p.target)
	}
	var wanted []wantedFlow
	for i := range observed {
		wanted = append(wanted, wantedFlow{Observed: &observed[i]})
	}
	all := newPairs(f.inner, m, rp, targets, wanted)
	return slices.DeleteFunc(all.find(), func(c Pair) bool {
		return !all.open(m, c) || all.open(f.inner.Model, c)
	})
}

// open says whether both ends of a pair allow it in a model.
func (p *pairs) open(m *tier.Model, c Pair) bool {
	src, dst := tier.Peer{Endpoint: p.all[p.index[c.Source]].pod}, tier.Peer{Endpoint: p.all[p.index[c.Destination]].pod}
	return m.Judge(p.req.scope(), policy.Egress, src, dst, c.Protocol, c.Port).Action == policy.Allow &&
		m.Judge(p.req.scope(), policy.Ingress, dst, src, c.Protocol, c.Port).Action == policy.Allow
}

// asPolicies are the rules that the edits stand for.
func (f *fixer) asPolicies(edits []*FixEdit) []*Policy {
	out := make([]*Policy, len(edits))
	for i, e := range edits {
		p := e.Policy
		for d := range p.Rules {
			p.Rules[d] = e.Written(policy.Direction(d))
		}
		out[i] = &p
	}
	return out
}
