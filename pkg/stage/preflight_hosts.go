package stage

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// hosts judges what nodes themselves need, where promoted policies select their
// host endpoints: the API server and metrics-server reach the kubelets, the nodes
// the API server, and what else was judged already has one of them at an end; and
// what was seen. Nobody's observation of pods tells whether it is in use, and
// without it a node is lost, so each of these is a reason not to go on.
func (c *preflight) hosts(staged []policy.Key) {
	if !c.selectsHosts(staged) {
		return
	}
	c.hostNeeds = append(c.hostNeeds, c.kubeletsAndAPI()...)
	c.hostNeeds = append(c.hostNeeds, c.needs...)
	c.hostNeeds = append(c.hostNeeds, c.seenAtHosts()...)
	j := newHostJudge(c.m)
	c.hostNeeds = slices.DeleteFunc(c.hostNeeds, func(n need) bool { return !j.concerns(n.conn) })
	check := Check{Class: ClassHosts}
	told := map[string]bool{}
	for i := range c.hostNeeds {
		n := &c.hostNeeds[i]
		if !j.connection(c.m, n).Allowed(tier.Enforced()) {
			continue
		}
		check.Checked++
		denied := j.denied(c.scope, n.conn)
		if denied == [2]*hostDenial{} {
			continue
		}
		check.Cut++
		p := c.hostProblem(j, n, denied)
		if id := p.Source.String() + " " + p.Destination.String() + " " + p.Port.Text() + p.Fix; !told[id] {
			told[id] = true
			c.report.Problems = append(c.report.Problems, p)
		}
	}
	c.report.Checks = append(c.report.Checks, check)
	c.report.NotChecked = append(c.report.NotChecked, "hosts: whether a FelixConfiguration sets other failsafe ports than Calico's own")
}

// selectsHosts says whether what host endpoints let through is to be judged, and
// notes where it can't be, or where it is nothing.
func (c *preflight) selectsHosts(staged []policy.Key) bool {
	judged := false
	for _, key := range staged {
		p := c.snap.Policy(key)
		if p == nil || p.StagedAction == policy.StagedIgnore {
			continue
		}
		twin, _ := Twin(key)
		names := hostsOf(c.snap, p, c.snap.Policy(twin))
		switch {
		case len(names) == 0:
		case !c.facts.Hosts:
			c.report.Notes = append(c.report.Notes,
				fmt.Sprintf("%s selects host endpoints (%s), which netpol does not enforce: it has no effect on them", key, strings.Join(names, ", ")))
		case p.DoNotTrack || p.PreDNAT:
			c.report.NotChecked = append(c.report.NotChecked,
				fmt.Sprintf("hosts: what %s lets through at host endpoints (%s): it is asked before connections are tracked or translated", key, strings.Join(names, ", ")))
		default:
			judged = true
		}
	}
	return judged
}

// hostsOf are the host endpoints that a policy selects, or that the one selects
// that it replaces or deletes (S14).
func hostsOf(snap *policy.Snapshot, staged, enforced *policy.Policy) []string {
	var out []string
	for _, h := range snap.HostEndpoints {
		for _, p := range []*policy.Policy{staged, enforced} {
			if p != nil && p.StagedAction != policy.StagedDelete && p.Kind.Enforced() == policy.KindGlobalNetworkPolicy &&
				p.NamespaceSelector == nil && p.ServiceAccountSelector == nil && p.Selector.Matches(h.Labels) {
				out = append(out, h.Name)
				break
			}
		}
	}
	return out
}

// connection is a need as its pods and its host endpoints judge it.
func (j *hostJudge) connection(m *tier.Model, n *need) Connection {
	pods := connection(m, n.who, n.conn, n.fromHost)
	return Connection{n.who, func(scope tier.Scope) replay.Verdict {
		v := pods.judge(scope)
		for d, at := range j.denied(scope, n.conn) {
			if at != nil {
				v.Denied[d] = &at.by
			}
		}
		return v
	}}
}

func (c *preflight) hostProblem(j *hostJudge, n *need, denied [2]*hostDenial) Problem {
	p := Problem{
		Class: ClassHosts, Refuses: true, For: n.who, Source: j.peer(n.conn.Source), Destination: j.peer(n.conn.Destination),
		Port: flow.NewPort(n.conn.Protocol, n.conn.Port),
	}
	var hits [2]*policy.Hit
	rules := hostRules(n.conn)
	for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
		if at := denied[d]; at != nil {
			hits[d] = &at.by
			p.Fix = joinFixes(p.Fix, fixOf(d, newBy(at.by), "host endpoint "+at.host.Name, rules[d]))
		}
	}
	var item Item
	item.blame(hits)
	p.Direction, p.BlockedBy, p.Reason = item.Direction, item.BlockedBy, item.Reason
	return p
}

// peer is an end as reports have it: a node by its name.
func (j *hostJudge) peer(p tier.Peer) Peer {
	if node := j.node(p); p.Endpoint == nil && node != "" {
		return Peer{Kind: string(flow.PeerHost), Workload: node, Address: p.Addr.String()}
	}
	return peerOf(p)
}

// hostRules are the rules for a connection in policies for its host endpoints, by
// direction.
func hostRules(conn tier.Conn) (rule [2]string) {
	entity := func(p tier.Peer) string {
		if p.Endpoint != nil {
			return entityOf(p.Endpoint)
		}
		return fmt.Sprintf("nets: [%s]", netip.PrefixFrom(p.Addr, p.Addr.BitLen()))
	}
	ports := fmt.Sprintf("ports: [%d]", conn.Port)
	from, to := entity(conn.Source), entity(conn.Destination)
	rule[policy.Egress] = fmt.Sprintf("{action: Allow, protocol: %s, destination: {%s, %s}}", conn.Protocol, to, ports)
	rule[policy.Ingress] = fmt.Sprintf("{action: Allow, protocol: %s, source: {%s}, destination: {%s}}", conn.Protocol, from, ports)
	if !conn.Protocol.HasPorts() {
		rule[policy.Egress] = fmt.Sprintf("{action: Allow, protocol: %s, destination: {%s}}", conn.Protocol, to)
		rule[policy.Ingress] = fmt.Sprintf("{action: Allow, protocol: %s, source: {%s}}", conn.Protocol, from)
	}
	return rule
}
