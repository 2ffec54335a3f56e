package tier

import "github.com/netpol-project/netpol/pkg/policy"


// Explanation is the walk of one direction, told step by step.
type Explanation struct {
	Direction policy.Direction
	Tiers     []TierStep
	Verdict   Verdict
}

// TierStep is one tier that has a policy for the endpoint, or that the walk
// did not reach any more (then Reached is false).
type TierStep struct {
	Tier          string
	DefaultAction policy.Action
	Policies      []PolicyStep
	// Outcome is Allow or Deny if the tier decided, Pass if it did not.
	Outcome policy.Action
	// ByDefault: no rule decided, the tier's default action applied (S8).
	ByDefault bool
}

// PolicyStep is one policy that selects the endpoint and the rules that were
// tried, in order.
type PolicyStep struct {
	Policy *policy.Policy
	Rules  []RuleStep
}

// RuleStep is one rule that was tried.
type RuleStep struct {
	Index   int
	Action  policy.Action
	Matched bool
	// Failed names the first criterion that did not hold, as its field path;
	// Wanted is what it asks for and Met what the connection has.
	Failed, Wanted, Met string
}

// Explain walks as Judge does and keeps every step. The verdict is the same.
func (m *Model) Explain(scope Scope, dir policy.Direction, local, peer Peer, proto policy.Protocol, port uint16) Explanation {
	q := m.question(dir, local, peer, proto, port)
	w := m.walk(m.view(scope), dir, q.local.id)
	e := Explanation{Direction: dir, Verdict: m.judge(w, dir, &q)}
	for gi := range w.groups {
		step := m.explainTier(&w.groups[gi], &q)
		e.Tiers = append(e.Tiers, step)
		if step.Outcome != policy.Pass {
			break
		}
	}
	return e
}

func (m *Model) explainTier(g *group, q *question) TierStep {
	step := TierStep{Tier: g.tier.Name, DefaultAction: g.tier.DefaultAction}
	for _, c := range g.policies {
		ps := PolicyStep{Policy: c.Policy}
		for i := range c.rules[q.dir] {
			rs := m.explainRule(c, i, q)
			ps.Rules = append(ps.Rules, rs)
			if rs.Matched && rs.Action != policy.Log {
				step.Policies = append(step.Policies, ps)
				step.Outcome = rs.Action
				return step
			}
		}
		step.Policies = append(step.Policies, ps)
	}
	step.ByDefault = true
	step.Outcome = g.tier.DefaultAction
	return step
}

func (m *Model) explainRule(c *compiled, i int, q *question) RuleStep {
	r := &c.rules[q.dir][i]
	rs := RuleStep{Index: i, Action: r.action, Matched: m.ruleMatches(r, q)}
	if !rs.Matched {
		rs.Failed, rs.Wanted, rs.Met = m.failure(r, &c.Rules[q.dir][i], q)
	}
	return rs
}
