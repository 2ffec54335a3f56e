package prove

import "net/netip"

// shots are attempts from every slot and from outside, at both of their
// addresses, to every other place. A slot whose pod is not in the world, or
// has not this address in it, must not get through (S31).
func (n *node) shots(rules *nodeRules, services [][2]int) []*shot {
	var out []*shot
	add := func(s shot, from End, known bool) {
		v := services[len(out)%len(services)]
		to := End{Addr: s.dest, Pod: rules.owner(s.dest)}
		e := rules.expect(from, to, v)
		s.proto, s.port, s.source = v[0], v[1], from.Addr
		s.expected, s.what = e.accept && known, e.what+" ("+s.to+")"
		out = append(out, &s)
	}
	for i := 1; i <= slots; i++ {
		for f, source := range slotAddrs(i) {
			from := End{Addr: source, Pod: rules.owner(source)}
			known := from.Pod != nil && from.Pod.number() == i
			n.targets(source, func(to string, dest netip.Addr) {
				if to != place(i) {
					add(shot{from: n.pods[i], to: to, dest: dest}, from, known)
				}
			})
			next := i%slots + 1 // and one with the address of another
			add(shot{from: n.pods[next], spoofed: true, to: "outside", dest: Outside[f*5]}, from, false)
		}
	}
	for _, source := range Outside {
		if slotOf(source) == 0 {
			n.targets(source, func(to string, dest netip.Addr) {
				if slotOf(dest) > 0 {
					add(shot{from: n.outside, to: to, dest: dest}, End{Addr: source}, true)
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

// owner is the pod that has the address, or nil.
func (w *World) owner(a netip.Addr) *Pod {
	for _, p := range w.Endpoints() {
		for _, own := range p.Addrs {
			if own == a {
				return p
			}
		}
	}
	return nil
}
