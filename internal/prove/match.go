package prove

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// numbers are the protocols that rules may name (S22).
var numbers = map[string]int{"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}

func (p *Protocol) number() int {
	if p.Name != "" {
		return numbers[p.Name]
	}
	return p.Number
}

// ruleCount is how many rules the policy has in a direction.
func (p *Policy) ruleCount(dir policy.Direction) int {
	switch {
	case p.Kube != nil:
		return len(p.Kube.Rules(dir))
	case p.Cluster != nil:
		return len(p.Cluster.Rules(dir))
	}
	return len(p.Rules(dir))
}

// rule says what rule i of the policy does with the packet.
func (w *World) rule(p *Policy, i int, c Packet) (policy.Action, bool) {
	switch {
	case p.Kube != nil:
		return policy.Allow, w.kubeMatches(p, p.Kube.Rules(c.Direction)[i], c) // S4: rules are Allow
	case p.Cluster != nil:
		r := p.Cluster.Rules(c.Direction)[i]
		return clusterActions[r.Action], w.clusterMatches(r, c)
	}
	r := p.Rules(c.Direction)[i]
	return r.Action, w.matches(p, r, c)
}

// source and destination are the packet's ends.
func (c Packet) source() End {
	if c.Direction == policy.Ingress {
		return c.Peer
	}
	return c.Local
}

func (c Packet) destination() End {
	if c.Direction == policy.Ingress {
		return c.Local
	}
	return c.Peer
}

// matches says whether every criterion of the rule holds.
func (w *World) matches(p *Policy, r Rule, c Packet) bool {
	if r.HTTP { // S24: never widened to what we can see
		return false
	}
	// S22
	if r.Protocol != nil && r.Protocol.number() != c.Protocol {
		return false
	}
	if r.NotProtocol != nil && r.NotProtocol.number() == c.Protocol {
		return false
	}
	if r.ICMP != nil && !r.ICMP.matches(c) {
		return false
	}
	if r.NotICMP != nil && r.NotICMP.matches(c) {
		return false
	}
	if r.IPVersion != 0 && r.IPVersion != c.family() {
		return false
	}
	// S23: nets, notNets too, of one family make it a rule of that family.
	if family := r.netFamily(); family != 0 && family != c.family() {
		return false
	}
	return w.matchesEntity(p, r.Source, c.source()) && w.matchesEntity(p, r.Destination, c.destination()) &&
		w.matchesService(p, r, c) &&
		w.matchesPorts(p, r.Source, c.source(), c.Protocol, c.sourcePort()) &&
		w.matchesPorts(p, r.Destination, c.destination(), c.Protocol, c.Port)
}

// matches says whether the packet is such an ICMP message: type and code
// stand where others have a port.
func (i *ICMP) matches(c Packet) bool {
	return i.Type == c.Port>>8 && (i.Code < 0 || i.Code == c.Port&255)
}

// netFamily is the family of the rule's nets, or 0 if it has none. The API
// does not let one rule mix them.
func (r Rule) netFamily() int {
	for _, e := range []Entity{r.Source, r.Destination} {
		switch nets := append(slices.Clone(e.Nets), e.NotNets...); {
		case len(nets) == 0:
		case nets[0].Addr().Is4():
			return 4
		default:
			return 6
		}
	}
	return 0
}

// addrs are the addresses that nets look at: the connection's, or, where that
// is not known, the pod's.
func (e End) addrs() []netip.Addr {
	if e.Addr.IsValid() || e.Pod == nil {
		return []netip.Addr{e.Addr}
	}
	return e.Pod.Addrs
}

// family is the connection's IP version, 4 or 6; one of its ends at least has
// an address.
func (c Packet) family() int {
	for _, a := range append(slices.Clone(c.Local.addrs()), c.Peer.addrs()...) {
		if a.IsValid() && a.Is4() {
			return 4
		}
		if a.IsValid() {
			return 6
		}
	}
	return 0
}

// inNets says whether any address is in any net. A net of one family never
// holds an address of the other (S23).
func inNets(nets []netip.Prefix, addrs []netip.Addr) bool {
	for _, n := range nets {
		for _, a := range addrs {
			if n.Contains(a) {
				return true
			}
		}
	}
	return false
}
