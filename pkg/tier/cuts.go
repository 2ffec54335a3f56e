package tier

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Cuts are the places where a verdict may change for one local endpoint, one
// direction and one peer: between two neighbouring cuts it is the same.
type Cuts struct {
	// Protocols that some rule singles out, sorted.
	Protocols []policy.Protocol
	// Ports: for a protocol, the sorted first ports of the intervals in which
	// the verdict is constant; always starts with 0. Missing: one interval.
	Ports map[policy.Protocol][]uint16
}

// Cuts asks the rules that can match the peer only, and stops where one
// decides whatever the protocol, so the list is short.
func (m *Model) Cuts(scope Scope, dir policy.Direction, local, peer Peer) Cuts {
	q := m.question(local, peer, 0, 0)
	return m.cuts(m.walk(m.view(scope), dir, q.local.id), dir, &q)
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
				if r.protocol != 0 || r.notProtocol != 0 || len(r.ports)+len(r.notPorts) > 0 {
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

// portProtocols are the protocols in which a port list may match (S22).
var portProtocols = [...]policy.Protocol{policy.TCP, policy.UDP, policy.SCTP}

// cutter gathers cuts.
type cutter struct {
	singled [256]bool // by protocol
	ports   [len(portProtocols)][]uint16
}

func (c *cutter) add(r *rule) {
	c.singled[r.protocol], c.singled[r.notProtocol] = true, true
	if len(r.ports)+len(r.notPorts) == 0 {
		return
	}
	for i, p := range portProtocols {
		if r.protocol != 0 && r.protocol != p || r.notProtocol == p {
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
	for i, p := range portProtocols {
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

// Nets are all prefixes in rules of local's policies in a direction that speak
// of the peer's addresses, sorted, without duplicates.
func (m *Model) Nets(scope Scope, dir policy.Direction, local *policy.Endpoint) []netip.Prefix {
	w := m.walk(m.view(scope), dir, m.ids.of(local))
	if !w.nets {
		return nil
	}
	var out []netip.Prefix
	for gi := range w.groups {
		for _, pol := range w.groups[gi].policies {
			for i := range pol.rules[dir] {
				if n := pol.rules[dir][i].nets; n != nil {
					out = append(append(out, n.peer...), n.notPeer...)
				}
			}
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int {
		if d := a.Addr().Compare(b.Addr()); d != 0 {
			return d
		}
		return a.Bits() - b.Bits()
	})
	return slices.Compact(out)
}

// Profile is a comparable key of the policies (in their present content and
// order) that judge local in a direction; endpoints of one profile get the same
// verdict for the same peer. The empty string: no policy at all. A key is the
// same in every model and process in which the policies are the same.
func (m *Model) Profile(scope Scope, dir policy.Direction, local *policy.Endpoint) string {
	id := m.ids.of(local)
	w := m.walk(m.view(scope), dir, id)
	if !w.local {
		return w.key
	}
	var b strings.Builder
	b.WriteString(w.key)
	b.WriteByte('/')
	bit := func(v bool) {
		if v {
			b.WriteByte('1')
		} else {
			b.WriteByte('0')
		}
	}
	for gi := range w.groups {
		for _, pol := range w.groups[gi].policies {
			for i := range pol.rules[dir] {
				r := &pol.rules[dir][i]
				if r.local != noEntity {
					bit(m.entityMatches(r.local, id))
				}
				if r.nets == nil || len(r.nets.local)+len(r.nets.notLocal) == 0 {
					continue
				}
				for _, version := range []bool{true, false} { // the endpoint's address of each family
					bit(netsMatch(r.nets.local, r.nets.notLocal, addrOfFamily(local, version)))
				}
			}
		}
	}
	return b.String()
}

func addrOfFamily(ep *policy.Endpoint, is4 bool) netip.Addr {
	for _, a := range ep.Addrs {
		if a.Is4() == is4 {
			return a
		}
	}
	return netip.Addr{}
}
