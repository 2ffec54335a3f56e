package tier

import (
	"iter"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Criterion is what of a rule did not hold.
type Criterion uint8

// The criteria, in the order in which they are tried. Peer and Own are
// selectors, service accounts, Services and network sets of the far side and
// of the endpoint's own.
const (
	Matched Criterion = iota
	FailedHTTP
	FailedIPVersion
	FailedProtocol
	FailedPeer
	FailedOwn
	FailedNets
	FailedPorts // ports by number or name, of either side, and ICMP types
)

// NoRule is the Rule of a step for a policy that has no rules in the direction.
const NoRule = -4

// Trace is a verdict with every step to it.
type Trace struct {
	Verdict Verdict
	walk    *walk
	dir     policy.Direction
	steps   []step
}

// step is a Step by its place in the walk: small, since a walk of thousands
// of rules keeps one for each.
type step struct {
	group  int32
	policy int32
	rule   int32 // index in the compiled policy, NoRule or policy.EndOfTier
	failed Criterion
}

// Step is one rule that was tried, a policy without rules (NoRule), or the end
// of a tier (policy.EndOfTier; Policy is nil then).
type Step struct {
	Tier   *policy.Tier
	Policy *policy.Policy
	Rule   int
	Failed Criterion
	rule   *rule
}

// Trace walks as Judge does and keeps every step: the verdict is the same.
func (m *Model) Trace(scope Scope, dir policy.Direction, local, peer Peer, proto policy.Protocol, port uint16) Trace {
	q := m.question(dir, local, peer, proto, port)
	return m.trace(m.walk(m.view(scope), dir, q.local.id), &q)
}

// Steps are the steps in their order.
func (t *Trace) Steps() iter.Seq[Step] {
	return func(yield func(Step) bool) {
		for _, s := range t.steps {
			g := &t.walk.groups[s.group]
			out := Step{Tier: g.tier, Rule: int(s.rule), Failed: s.failed}
			if s.rule != policy.EndOfTier {
				out.Policy = g.policies[s.policy].Policy
			}
			if s.rule >= 0 {
				out.rule = &g.policies[s.policy].rules[t.dir][s.rule]
				out.Rule = int(out.rule.index)
			}
			if !yield(out) {
				return
			}
		}
	}
}

func (m *Model) trace(w *walk, q *question) Trace {
	t := Trace{walk: w, dir: q.dir, steps: make([]step, 0, w.size)}
tiers:
	for gi := range w.groups {
		g := &w.groups[gi]
		for pi, c := range g.policies {
			rules := c.rules[q.dir]
			if len(rules) == 0 {
				t.steps = append(t.steps, step{int32(gi), int32(pi), NoRule, Matched})
			}
			for i := range rules {
				r := &rules[i]
				failed := m.fails(r, q)
				t.steps = append(t.steps, step{int32(gi), int32(pi), int32(i), failed})
				if failed != Matched {
					continue
				}
				switch r.action {
				case policy.Log: // S7
					t.Verdict.Logs = append(t.Verdict.Logs, hit(g, c.Key, int(r.index), policy.Log))
				case policy.Pass: // S6
					continue tiers
				default: // S5
					t.Verdict.Action, t.Verdict.By = r.action, hit(g, c.Key, int(r.index), r.action)
					return t
				}
			}
		}
		t.steps = append(t.steps, step{group: int32(gi), rule: policy.EndOfTier})
		if g.tier.DefaultAction != policy.Pass { // S8
			t.Verdict.Action, t.Verdict.By = policy.Deny, hit(g, g.last, policy.EndOfTier, policy.Deny)
			return t
		}
	}
	t.Verdict.Action, t.Verdict.By = policy.Allow, policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow} // S9
	return t
}

// fails is the first criterion of a rule that does not hold.
func (m *Model) fails(r *rule, q *question) Criterion {
	switch {
	case r.never:
		return FailedHTTP
	case r.ipVersion != 0 && r.ipVersion != q.version:
		return FailedIPVersion
	case r.protocol != 0 && r.protocol != q.protocol || r.notProtocol != 0 && r.notProtocol == q.protocol:
		return FailedProtocol
	case r.peer != noEntity && !m.entityMatches(r.peer, &q.peer):
		return FailedPeer
	case r.local != noEntity && !m.entityMatches(r.local, &q.local):
		return FailedOwn
	case r.nets != nil && !r.nets.match(q):
		return FailedNets
	case !m.protocolMatches(r, q):
		return FailedPorts
	}
	return Matched
}
