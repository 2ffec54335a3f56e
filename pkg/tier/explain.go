package tier

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

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
	q := m.question(local, peer, proto, port)
	w := m.walk(m.view(scope), dir, q.local.id)
	e := Explanation{Direction: dir, Verdict: m.judge(w, dir, &q)}
	for gi := range w.groups {
		step := m.explainTier(&w.groups[gi], dir, &q, peer)
		e.Tiers = append(e.Tiers, step)
		if step.Outcome != policy.Pass {
			break
		}
	}
	return e
}

func (m *Model) explainTier(g *group, dir policy.Direction, q *question, peer Peer) TierStep {
	step := TierStep{Tier: g.tier.Name, DefaultAction: g.tier.DefaultAction}
	for _, c := range g.policies {
		ps := PolicyStep{Policy: c.Policy}
		for i := range c.rules[dir] {
			rs := m.explainRule(c, dir, i, q, peer)
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

func (m *Model) explainRule(c *compiled, dir policy.Direction, i int, q *question, peer Peer) RuleStep {
	r := &c.rules[dir][i]
	rs := RuleStep{Index: i, Action: r.action, Matched: m.ruleMatches(r, q)}
	if rs.Matched {
		return rs
	}
	rs.Failed, rs.Wanted, rs.Met = m.failure(r, &c.Rules[dir][i], dir, q, peer)
	return rs
}

// failure finds the first criterion of a rule that does not hold, in the
// order in which people read a rule.
func (m *Model) failure(r *rule, src *policy.Rule, dir policy.Direction, q *question, peer Peer) (field, wanted, met string) {
	side, far, own := "source", &src.Source, &src.Destination
	ownSide := "destination"
	if dir == policy.Egress {
		side, ownSide, far, own = ownSide, side, own, far
	}
	portText := fmt.Sprint(q.port)
	switch {
	case r.ipVersion != 0 && r.ipVersion != q.version:
		return "ipVersion", fmt.Sprint(r.ipVersion), fmt.Sprint(q.version)
	case r.protocol != 0 && r.protocol != q.protocol:
		return "protocol", r.protocol.String(), q.protocol.String()
	case r.notProtocol != 0 && r.notProtocol == q.protocol:
		return "notProtocol", r.notProtocol.String(), q.protocol.String()
	case r.peer != noEntity && !m.entityMatches(r.peer, q.peer.id):
		return side + "." + entityField(far), entityText(far), peerText(peer, q)
	case r.local != noEntity && !m.entityMatches(r.local, q.local.id):
		return ownSide + "." + entityField(own), entityText(own), q.local.addr.String()
	case r.nets != nil && !r.nets.match(q):
		if netsMatch(r.nets.peer, r.nets.notPeer, q.peer.addr) && r.nets.version == q.version {
			return ownSide + "." + netsField(own), netsText(own), q.local.addr.String()
		}
		return side + "." + netsField(far), netsText(far), q.peer.addr.String()
	case len(r.ports) > 0 && !portIn(r.ports, q):
		return "destination.ports", joinPorts(r.ports), portText
	default:
		return "destination.notPorts", joinPorts(r.notPorts), portText
	}
}

func entityField(e *policy.Entity) string {
	switch {
	case e.Selector != nil:
		return "selector"
	case e.NotSelector != nil:
		return "notSelector"
	}
	return "namespaceSelector"
}

func entityText(e *policy.Entity) string {
	var parts []string
	if e.Selector != nil {
		parts = append(parts, e.Selector.String())
	}
	if e.NotSelector != nil {
		parts = append(parts, "not "+e.NotSelector.String())
	}
	if e.NamespaceSelector != nil {
		parts = append(parts, "in namespaces "+e.NamespaceSelector.String())
	}
	return strings.Join(parts, ", ")
}

func netsField(e *policy.Entity) string {
	if len(e.Nets) > 0 {
		return "nets"
	}
	return "notNets"
}

func netsText(e *policy.Entity) string {
	var parts []string
	for _, n := range slices.Concat(e.Nets, e.NotNets) {
		parts = append(parts, n.String())
	}
	return strings.Join(parts, ", ")
}

func joinPorts(list []policy.PortRange) string {
	parts := make([]string, len(list))
	for i, p := range list {
		parts[i] = p.String()
	}
	return strings.Join(parts, ", ")
}

// peerText says who the far end is, with its labels where it has any.
func peerText(p Peer, q *question) string {
	if p.Endpoint == nil {
		return q.peer.addr.String()
	}
	var labels []string
	for k, v := range p.Endpoint.Labels {
		if !strings.Contains(k, "projectcalico.org/") {
			labels = append(labels, k+"="+v)
		}
	}
	slices.Sort(labels)
	return p.Endpoint.Workload.String() + " (" + strings.Join(labels, ", ") + ")"
}
