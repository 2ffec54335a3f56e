package prove

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// shots are attempts from every slot and from outside, at both of their
// addresses, to every other place. A slot whose pod is not in the world, or
// has not this address in it, must not get through (S31).
func (n *node) shots(rules *nodeRules, services []Wire) []*shot {
	var out []*shot
	add := func(s shot, from End, known bool) {
		v := n.aim(services, len(out), s)
		to := End{Addr: s.dest, Pod: rules.owner(s.dest)}
		e := rules.expect(from, to, v)
		s.Wire = v
		s.expected, s.what = e.accept && known && v.opens(), e.what+" ("+s.to+")"
		out = append(out, &s)
	}
	for i := 1; i <= slots; i++ {
		for f, source := range slotAddrs(i) {
			from := End{Addr: source, Pod: rules.owner(source)}
			known := from.Pod != nil && from.Pod.number() == i
			n.targets(source, func(to string, dest netip.Addr) {
				if to != place(i) {
					add(shot{from: n.pods[i], source: source, to: to, dest: dest}, from, known)
				}
			})
			next := i%slots + 1 // and one with the address of another
			add(shot{from: n.pods[next], source: source, spoofed: true, to: "outside", dest: Outside[f*5]}, from, false)
		}
	}
	for _, source := range Outside {
		if slotOf(source) == 0 {
			n.targets(source, func(to string, dest netip.Addr) {
				if slotOf(dest) > 0 {
					add(shot{from: n.outside, source: source, to: to, dest: dest}, End{Addr: source}, true)
				}
			})
		}
	}
	return out
}

// targets are all places and their addresses of the family of a source.
func (n *node) targets(source netip.Addr, f func(to string, dest netip.Addr)) {
	same := func(to string, addrs []netip.Addr) {
		for _, a := range addrs {
			if a.Is4() == source.Is4() && (slotOf(a) == 0 || to != "outside") {
				f(to, a)
			}
		}
	}
	for i := 1; i <= slots; i++ {
		same(place(i), slotAddrs(i))
	}
	same("outside", Outside)
	same("host", hostAddrs)
}

// aim picks what the i-th attempt is made with. Connections of protocols
// without ports, and those between two fixed ports, are known by their
// addresses alone: where another attempt has the same two, one of them would be
// the answer to the other, and pass (S11).
func (n *node) aim(services []Wire, i int, s shot) Wire {
	twice := s.spoofed || s.dest.Less(s.source)
	for {
		v := services[i%len(services)]
		i++
		if !fits(s.source, v.Protocol) || twice && !ownPorts(v.Protocol) {
			continue
		}
		if twice || v.SourcePort == 0 || !ownPorts(v.Protocol) || policy.Protocol(v.Protocol).HasTypes() {
			v.SourcePort = n.nextPort()
		}
		return v
	}
}

// ownPorts says whether conntrack tells the protocol's connections apart by
// ports or identifiers. Of UDPLite newer kernels do not.
func ownPorts(proto int) bool { return slices.Contains([]int{1, 6, 17, 58, 132}, proto) }

// opens says whether conntrack takes such a packet for a new connection. Other
// ICMP messages than requests are invalid where nothing was asked, and dropped
// (S12).
func (v Wire) opens() bool {
	switch typ := v.Port >> 8; v.Protocol {
	case 1:
		return slices.Contains([]int{8, 13, 15, 17}, typ)
	case 58:
		return slices.Contains([]int{128, 139}, typ)
	}
	return true
}
