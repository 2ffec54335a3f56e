package tier

import "github.com/netpol-project/netpol/pkg/policy"

// Explanation is the walk of one direction, told step by step.
type Explanation struct {
	Direction policy.Direction
	Tiers     []TierStep
	Verdict   Verdict
}

// TierStep is one tier that has a policy for the endpoint and that the walk
// reached.
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

// Explain is Trace for people: grouped by tier and policy, and with the reason
// for each rule that did not match.
func (m *Model) Explain(scope Scope, dir policy.Direction, local, peer Peer, proto policy.Protocol, port uint16) Explanation {
	q := m.question(dir, local, peer, proto, port)
	t := m.trace(m.walk(m.view(scope), dir, q.local.id), &q)
	e := Explanation{Direction: dir, Verdict: t.Verdict}
	for s := range t.Steps() {
		if n := len(e.Tiers); n == 0 || e.Tiers[n-1].Tier != s.Tier.Name {
			e.Tiers = append(e.Tiers, TierStep{Tier: s.Tier.Name, DefaultAction: s.Tier.DefaultAction})
		}
		at := &e.Tiers[len(e.Tiers)-1]
		if s.Rule == policy.EndOfTier {
			at.ByDefault, at.Outcome = true, s.Tier.DefaultAction
			continue
		}
		if n := len(at.Policies); n == 0 || at.Policies[n-1].Policy != s.Policy {
			at.Policies = append(at.Policies, PolicyStep{Policy: s.Policy})
		}
		if s.Rule == NoRule {
			continue
		}
		rs := RuleStep{Index: s.Rule, Action: s.Policy.Rules[dir][s.Rule].Action, Matched: s.Failed == Matched}
		if !rs.Matched {
			rs.Failed, rs.Wanted, rs.Met = m.failure(s.rule, &s.Policy.Rules[dir][s.Rule], &q)
		} else if rs.Action != policy.Log {
			at.Outcome = rs.Action
		}
		to := &at.Policies[len(at.Policies)-1]
		to.Rules = append(to.Rules, rs)
	}
	return e
}
