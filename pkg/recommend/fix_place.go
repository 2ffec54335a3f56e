package recommend

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// place puts rules where they change least: into an Allow rule that differs in its
// ports alone, or in its peer alone; else to the end of a policy; else into a new
// one. At the end of a policy is far enough in front: what is fixed no rule of the
// tier decides.
func (f *fixer) place(tierName string, t *target, d policy.Direction, rules []Rule) {
	bases := f.bases(tierName, t, d)
	// Ports first: with them, a rule may be what the next one lacks a peer in.
	for _, widen := range []func(*FixEdit, policy.Direction, int, *Rule) bool{(*FixEdit).addPorts, (*FixEdit).addPeer, (*FixEdit).addLast} {
		rules = slices.DeleteFunc(rules, func(r Rule) bool { return f.into(bases, d, &r, widen) })
	}
	if len(rules) == 0 {
		return
	}
	e := f.made[t]
	if e == nil {
		e = f.fresh(tierName, t)
		f.made[t], f.edits[e.Key] = e, e
	}
	for _, r := range rules {
		e.add(d, r)
	}
}

// into widens the first policy and rule that can be; false if none can.
func (f *fixer) into(bases []*policy.Policy, d policy.Direction, r *Rule, widen func(*FixEdit, policy.Direction, int, *Rule) bool) bool {
	for _, p := range bases {
		e := f.edit(p)
		for i := range max(1, len(p.Rules[d])) {
			if widen(e, d, i, r) {
				f.edits[e.Key] = e
				return true
			}
		}
	}
	return false
}

// bases are the policies that may be extended: namespaced ones of the tier that
// count, act in that direction, have rules, and select exactly the target. A
// policy that selects more would let in more; one without rules is there to
// refuse.
func (f *fixer) bases(tierName string, t *target, d policy.Direction) []*policy.Policy {
	var out []*policy.Policy
	for _, p := range f.labels.snap.Policies {
		if p.Namespace != t.namespace || p.Tier != tierName || !p.Types[d] || len(p.Rules[policy.Ingress])+len(p.Rules[policy.Egress]) == 0 {
			continue
		}
		switch p.Kind {
		case policy.KindStagedNetworkPolicy:
			if p.StagedAction == policy.StagedDelete || p.StagedAction == policy.StagedIgnore {
				continue
			}
		case policy.KindNetworkPolicy:
			// The staged one of its name counts instead, or is somebody's work.
			if f.there(policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: p.Namespace, Name: p.Name}) {
				continue
			}
		default:
			continue
		}
		if f.exactly(p, t) {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b *policy.Policy) int { return compareKeysOf(a.Key, b.Key) })
	return out
}

// there says whether a policy is written down, whether it counts or not.
func (f *fixer) there(k policy.Key) bool { return f.req.Model.Snapshot().Policy(k) != nil }

// exactly says whether a policy selects the target's pods and no others.
func (f *fixer) exactly(p *policy.Policy, t *target) bool {
	if p.ServiceAccountSelector != nil {
		return false
	}
	return !slices.ContainsFunc(f.labels.byNamespace[t.namespace], func(ep *policy.Endpoint) bool {
		return (p.Selector == nil || p.Selector.Matches(ep.Labels)) != slices.Contains(t.workloads, ep.Workload)
	})
}

// edit is the edit of a policy, begun or not.
func (f *fixer) edit(p *policy.Policy) *FixEdit {
	key := p.Key
	if f.req.Staged {
		key.Kind = policy.KindStagedNetworkPolicy
	}
	if e := f.edits[key]; e != nil {
		return e
	}
	e := &FixEdit{Policy: Policy{Key: key, Tier: p.Tier, Selector: p.Selector, Types: p.Types, Base: p, WithEvidence: f.req.Evidence}}
	for d := range p.Rules {
		e.rules[d] = slices.Clone(p.Rules[d])
	}
	return e
}

// fresh is a new policy for a target, which acts only where it gets rules.
func (f *fixer) fresh(tierName string, t *target) *FixEdit {
	e := &FixEdit{Policy: Policy{Tier: tierName, Selector: t.selector, Workloads: t.workloads, Unasked: t.unasked, WithEvidence: f.req.Evidence}}
	for _, name := range candidates(t) {
		staged := policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: t.namespace, Name: name}
		enforced := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: t.namespace, Name: name}
		e.Key = enforced
		if f.req.Staged {
			e.Key = staged
		}
		if !f.there(staged) && !f.there(enforced) && f.edits[e.Key] == nil {
			return e
		}
	}
	return e
}
