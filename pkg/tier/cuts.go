package tier

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Cuts are the places where a verdict may change for one local endpoint, one
// direction and one peer: between two neighbouring cuts it is the same.
type Cuts struct {
	// Protocols that some rule singles out, sorted.
	Protocols []policy.Protocol
	// Ports: for a protocol, the sorted first ports of the intervals in which
	// the verdict is constant; always starts with 0. Missing: one interval.
	// Of ICMP and ICMPv6 they are policy.ICMPPorts.
	Ports map[policy.Protocol][]uint16
}

// Cuts asks the rules that can match the peer only, and stops where one
// decides whatever the protocol, so the list is short.
func (m *Model) Cuts(scope Scope, dir policy.Direction, local, peer Peer) Cuts {
	return m.Pair(scope, dir, local, peer).Cuts()
}

func (m *Model) cuts(w *walk, dir policy.Direction, q *question) Cuts {
	var c cutter
tiers:
	for gi := range w.groups {
		passed := false // some protocols or ports leave the tier here
		for _, pol := range w.groups[gi].policies {
			for i := range pol.rules[dir] {
				r := &pol.rules[dir][i]
				if !m.endsMatch(r, q) {
					continue
				}
				late := q.version == 0 && (r.ipVersion != 0 || r.nets != nil)
				if late {
					c.singled[policy.ICMPv6] = true // it alone tells the version
				}
				if late || r.protocol != 0 || r.notProtocol != 0 || len(r.ports)+len(r.notPorts) > 0 {
					c.add(r)
					passed = passed || r.action == policy.Pass
					continue
				}
				switch r.action {
				case policy.Pass:
					continue tiers
				case policy.Allow, policy.Deny:
					if passed {
						continue tiers
					}
					break tiers
				}
			}
		}
		if w.groups[gi].tier.DefaultAction != policy.Pass && !passed {
			break
		}
	}
	return c.cuts()
}

// portProtocols are the protocols in which a port list may match (S22), and
// numbered the protocols that have ports, or types and codes.
var (
	portProtocols = [...]policy.Protocol{policy.TCP, policy.UDP, policy.SCTP}
	numbered      = [...]policy.Protocol{policy.TCP, policy.UDP, policy.SCTP, policy.ICMP, policy.ICMPv6}
)

// cutter gathers cuts.
type cutter struct {
	singled [256]bool // by protocol
	ports   [len(numbered)][]uint16
}

func (c *cutter) add(r *rule) {
	c.singled[r.protocol], c.singled[r.notProtocol] = true, true
	if len(r.ports)+len(r.notPorts) == 0 {
		return
	}
	for i, p := range numbered {
		if r.protocol != 0 && r.protocol != p || r.notProtocol == p || !r.hasThem(p) {
			continue
		}
		c.singled[p] = true
		if len(c.ports[i]) == 0 {
			c.ports[i] = append(c.ports[i], 0)
		}
		for _, list := range [][]policy.PortRange{r.ports, r.notPorts} {
			for _, pr := range list {
				c.ports[i] = append(c.ports[i], pr.Min)
				if pr.Max < 65535 {
					c.ports[i] = append(c.ports[i], pr.Max+1)
				}
			}
		}
	}
}

func (c *cutter) cuts() Cuts {
	var out Cuts
	for p, singled := range c.singled {
		if p > 0 && singled {
			out.Protocols = append(out.Protocols, policy.Protocol(p))
		}
	}
	for i, p := range numbered {
		if len(c.ports[i]) > 0 {
			if out.Ports == nil {
				out.Ports = map[policy.Protocol][]uint16{}
			}
			slices.Sort(c.ports[i])
			out.Ports[p] = slices.Compact(c.ports[i])
		}
	}
	return out
}
