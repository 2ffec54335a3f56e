package tier

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/policy"
)

// end is one end of a connection, looked up once.
type end struct {
	id   int32 // -1: no endpoint owns the address
	addr netip.Addr
}

func (m *Model) end(p Peer) end {
	e := end{id: m.ids.of(p.Endpoint), addr: p.Addr.Unmap()}
	if !e.addr.IsValid() && p.Endpoint != nil && len(p.Endpoint.Addrs) > 0 {
		e.addr = p.Endpoint.Addrs[0]
	}
	return e
}

// question is a connection as one end's policies are asked about it.
type question struct {
	local, peer end
	dir         policy.Direction
	version     uint8 // 0: neither end has an address, and no protocol tells
	protocol    policy.Protocol
	port        uint16 // of the destination; policy.ICMPPort where that has types
	sourcePort  uint16
}

// source and destination are the ends as the connection has them.
func (q *question) source() *end {
	if q.dir == policy.Egress {
		return &q.local
	}
	return &q.peer
}

func (q *question) destination() *end {
	if q.dir == policy.Egress {
		return &q.peer
	}
	return &q.local
}

func (m *Model) question(dir policy.Direction, local, peer Peer, proto policy.Protocol, port uint16) question {
	q := question{local: m.end(local), peer: m.end(peer), dir: dir, protocol: proto, port: port, sourcePort: peer.Port}
	if dir == policy.Egress {
		q.sourcePort = local.Port
	}
	if q.sourcePort == 0 {
		q.sourcePort = AssumedSourcePort
	}
	// Both ends of a connection have addresses of one family: where one end's
	// was not given, take its address of the other end's family.
	switch {
	case local.Addr.IsValid() && !peer.Addr.IsValid():
		q.peer.addr = addrLike(peer.Endpoint, q.local.addr)
	case !local.Addr.IsValid() && q.peer.addr.IsValid():
		q.local.addr = addrLike(local.Endpoint, q.peer.addr)
	}
	q.settle()
	return q
}

// settle finds the version of IP: the addresses' one. Where neither end has an
// address yet, it is the protocol's own, and version 4 for those of both.
func (q *question) settle() {
	addr := q.peer.addr
	if !addr.IsValid() {
		addr = q.local.addr
	}
	switch {
	case addr.Is4():
		q.version = 4
	case addr.Is6(), q.protocol == policy.ICMPv6:
		q.version = 6
	case q.protocol != 0:
		q.version = 4
	}
}

func addrLike(ep *policy.Endpoint, like netip.Addr) netip.Addr {
	if ep != nil {
		for _, a := range ep.Addrs {
			if a.Is4() == like.Is4() {
				return a
			}
		}
	}
	return netip.Addr{}
}

// Judge gives the verdict of local's policies in direction dir on a connection
// with peer. local must be an endpoint; a peer without an Endpoint is an
// address that no endpoint owns (Model.Peer looks that up).
func (m *Model) Judge(scope Scope, dir policy.Direction, local, peer Peer, proto policy.Protocol, port uint16) Verdict {
	q := m.question(dir, local, peer, proto, port)
	return m.judge(m.walk(m.view(scope), dir, q.local.id), dir, &q)
}

// Evaluate judges both ends (S10). A pod always reaches itself (S32); what stands
// for all pods of a workload is judged as two of them.
func (m *Model) Evaluate(scope Scope, c Conn) Result {
	src, dst := c.Source, c.Destination
	if src.Endpoint != nil && dst.Endpoint != nil && src.Endpoint.SamePod(dst.Endpoint) {
		return Result{}
	}
	var r Result
	if src.Endpoint != nil {
		v := m.Judge(scope, policy.Egress, src, dst, c.Protocol, c.Port)
		r.Egress = &v
	}
	if dst.Endpoint != nil {
		v := m.Judge(scope, policy.Ingress, dst, src, c.Protocol, c.Port)
		r.Ingress = &v
	}
	return r
}

// judge is the walk: S5 to S9.
func (m *Model) judge(w *walk, dir policy.Direction, q *question) Verdict {
	var logs []policy.Hit
tiers:
	for gi := range w.groups {
		g := &w.groups[gi]
		for _, c := range g.policies {
			rules := c.rules[dir]
			for i := range rules {
				r := &rules[i]
				if !m.ruleMatches(r, q) {
					continue
				}
				switch r.action {
				case policy.Log: // S7
					logs = append(logs, hit(g, c.Key, int(r.index), policy.Log))
				case policy.Pass: // S6
					continue tiers
				default: // S5
					return Verdict{Action: r.action, By: hit(g, c.Key, int(r.index), r.action), Logs: logs}
				}
			}
		}
		if g.tier.DefaultAction != policy.Pass { // S8
			return Verdict{Action: policy.Deny, By: hit(g, g.last, policy.EndOfTier, policy.Deny), Logs: logs}
		}
	}
	return Verdict{Action: policy.Allow, By: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}, Logs: logs} // S9
}

func hit(g *group, by policy.Key, rule int, action policy.Action) policy.Hit {
	return policy.Hit{Tier: g.tier.Name, Policy: by, Rule: rule, Action: action}
}
