package stage

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Preflight judges the promotion of staged policies, all of them together: what
// of DNS, the API server, kubelet's probes, what the API server calls, metrics,
// what nodes themselves need, and observed traffic is allowed now and would not be
// then.
func Preflight(m *tier.Model, staged []policy.Key, facts Facts) *PreflightReport {
	c := &preflight{m: m, scope: tier.Some(staged...), facts: facts, snap: m.Snapshot(), report: &PreflightReport{
		Checks: []Check{}, Problems: []Problem{}, NotChecked: slices.Clone(facts.NotChecked), Order: []string{},
	}}
	if c.report.NotChecked == nil {
		c.report.NotChecked = []string{}
	}
	c.report.Closes = slices.ContainsFunc(staged, c.closes)
	c.observed()
	c.dns()
	c.apiServer()
	c.probes()
	c.calls()
	c.metrics()
	c.hosts(staged)
	c.plan(staged)
	slices.Sort(c.report.NotChecked)
	return c.report
}

// closes says whether a policy has no rule at all, and pods to close.
func (c *preflight) closes(key policy.Key) bool {
	p := c.snap.Policy(key)
	if p == nil || p.StagedAction == policy.StagedDelete || p.StagedAction == policy.StagedIgnore || len(p.Rules[policy.Ingress])+len(p.Rules[policy.Egress]) > 0 {
		return false
	}
	return slices.ContainsFunc(oneOfEach(c.m, c.snap.Endpoints), func(ep *policy.Endpoint) bool {
		return slices.ContainsFunc([]policy.Direction{policy.Ingress, policy.Egress}, func(d policy.Direction) bool {
			return slices.Contains(c.m.Selecting(c.scope, d, ep), p)
		})
	})
}

// plan finds how to promote the policies, judged by what was seen and needed.
func (c *preflight) plan(staged []policy.Key) {
	plan := NewPlan(c.m, staged, func(m *tier.Model) []Connection {
		out := Seen(m, c.facts.Flows)
		for i := range c.needs {
			out = append(out, connection(m, c.needs[i].who, c.needs[i].conn, c.needs[i].fromHost))
		}
		if len(c.hostNeeds) > 0 {
			j := newHostJudge(m)
			for i := range c.hostNeeds {
				out = append(out, j.connection(m, &c.hostNeeds[i]))
			}
		}
		return out
	})
	c.report.plan = plan
	for _, k := range plan.Order() {
		c.report.Order = append(c.report.Order, k.String())
	}
	for _, k := range plan.Bridges() {
		c.report.Bridge = append(c.report.Bridge, k.String())
	}
	if plan.Opens != nil {
		c.report.Opens = plan.Opens.What
	}
	if plan.Gap != nil {
		c.report.Gap = plan.Gap.What
	}
}

// preflight is one preflight.
type preflight struct {
	m      *tier.Model
	snap   *policy.Snapshot
	scope  tier.Scope
	facts  Facts
	report *PreflightReport
	needs  []need // all that were judged
	// hostNeeds are those that host endpoints were asked about.
	hostNeeds []need
}

// need is a connection that somebody needs.
type need struct {
	class   Class
	who     string
	conn    tier.Conn
	refuses bool
	// rule would allow it, by the direction that refuses.
	rule [2]string
	// fromHost: it comes from the host of the pod that it goes to (S12).
	fromHost bool
}

// end is the pod that judges in a direction; nil where that end is none.
func (n *need) end(d policy.Direction) *policy.Endpoint {
	if d == policy.Egress {
		return n.conn.Source.Endpoint
	}
	return n.conn.Destination.Endpoint
}

// check judges some needs, and reports each pair of workloads once.
func (c *preflight) check(class Class, needs []need) {
	at := len(c.report.Checks)
	c.report.Checks = append(c.report.Checks, Check{Class: class})
	told := map[string]bool{}
	for i := range needs {
		n := &needs[i]
		conn := connection(c.m, n.who, n.conn, n.fromHost)
		c.needs = append(c.needs, *n)
		if !conn.Allowed(tier.Enforced()) {
			continue
		}
		c.report.Checks[at].Checked++
		then := conn.judge(c.scope)
		if then.Allowed() {
			continue
		}
		p := Problem{
			Class: class, Refuses: n.refuses, For: n.who, Source: peerOf(n.conn.Source), Destination: peerOf(n.conn.Destination),
			Port: flow.NewPort(n.conn.Protocol, n.conn.Port),
		}
		var item Item
		item.blame(then.Denied)
		p.Direction, p.BlockedBy, p.Reason = item.Direction, item.BlockedBy, item.Reason
		for d, hit := range then.Denied {
			if end := n.end(policy.Direction(d)); hit != nil && end != nil {
				p.Fix = joinFixes(p.Fix, fixOf(policy.Direction(d), newBy(*hit), end.Workload.String(), n.rule[d]))
			}
		}
		c.report.Checks[at].Cut++
		if id := string(class) + p.Source.String() + " " + p.Destination.String() + " " + p.Port.Text() + p.For + p.Fix; !told[id] {
			told[id] = true
			c.report.Problems = append(c.report.Problems, p)
		}
	}
}

func joinFixes(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// peerOf is an end as reports have it.
func peerOf(p tier.Peer) Peer {
	if ep := p.Endpoint; ep != nil {
		return Peer{Namespace: ep.Workload.Namespace, Workload: ep.Workload.Name, Kind: string(ep.Workload.Kind)}
	}
	return Peer{Kind: string(flow.PeerNetwork), Address: p.Addr.String()}
}

// observed judges the traffic that was seen.
func (c *preflight) observed() {
	if c.facts.Blind {
		c.report.NotChecked = append(c.report.NotChecked, "observed traffic: none could be looked at")
		return
	}
	r := Impact(c.m, c.facts.Flows, c.scope)
	c.report.Impact = r
	c.report.Checks = append(c.report.Checks, Check{Class: ClassObserved, Checked: int(r.Summary.Flows.Observed), Cut: len(r.Items)})
	for i := range r.Items {
		it := &r.Items[i]
		p := Problem{
			Class: ClassObserved, Refuses: true, Source: it.Source, Destination: it.Destination, Port: it.Port,
			For: "traffic that was seen", Direction: it.Direction, BlockedBy: it.BlockedBy, Reason: it.Reason, Fix: c.fixSeen(it),
		}
		c.report.Problems = append(c.report.Problems, p)
	}
	for _, it := range r.MayBlock() {
		c.report.Problems = append(c.report.Problems, Problem{
			Class: ClassObserved, Refuses: true, Undecided: true, Source: it.Source, Destination: it.Destination, Port: it.Port,
			For: "traffic that was seen", Reason: it.Reason,
		})
	}
}
