package prove

import (
	"cmp"
	"net/netip"
)

// Ends are all ends that connections in the world can have: every pod at each
// of its addresses, pods that have one address or none also without it, and
// addresses that are no endpoint's.
func (w *World) Ends() []End {
	out := w.PodEnds()
	for _, p := range w.Pods {
		for _, a := range p.Addrs {
			if !p.Endpoint() && w.owner(a) == nil { // S12
				out = append(out, End{Addr: a})
			}
		}
	}
	for _, a := range Outside {
		if !w.owned(a) {
			out = append(out, End{Addr: a})
		}
	}
	return out
}

// PodEnds are the ends that have policies.
func (w *World) PodEnds() []End {
	var out []End
	for _, p := range w.Endpoints() {
		own := w.ownAddrs(p)
		for _, a := range own {
			out = append(out, End{Pod: p, Addr: a})
		}
		if len(p.Addrs) < 2 && len(own) == len(p.Addrs) {
			out = append(out, End{Pod: p})
		}
	}
	return out
}

// ownAddrs are the addresses of a pod that no other pod owns.
func (w *World) ownAddrs(p *Pod) []netip.Addr {
	var out []netip.Addr
	for _, a := range p.Addrs {
		if w.owner(a) == p {
			out = append(out, a)
		}
	}
	return out
}

// owner is the pod that has the address, or nil. Of several that claim it
// (S35) it is the newest one that is not on its way out, or, if all are, the
// newest.
func (w *World) owner(a netip.Addr) *Pod {
	var out *Pod
	for _, p := range w.Endpoints() {
		for _, own := range p.Addrs {
			if own == a && (out == nil || p.before(out)) {
				out = p
			}
		}
	}
	return out
}

func (p *Pod) before(other *Pod) bool {
	if p.Terminating != other.Terminating {
		return other.Terminating
	}
	return cmp.Compare(p.Created, other.Created) > 0
}

// Meets says whether two ends can be those of one connection: they have
// addresses of one family, or one of them has no address yet. Whether two that
// have none would speak IPv4 or IPv6 nobody can say, so that is not asked.
func (e End) Meets(other End) bool {
	for _, a := range e.addrs() {
		for _, b := range other.addrs() {
			if a.Is4() == b.Is4() {
				return true
			}
		}
	}
	return (len(e.addrs()) == 0) != (len(other.addrs()) == 0)
}

func (w *World) owned(a netip.Addr) bool {
	for _, p := range w.Pods {
		for _, own := range p.Addrs {
			if own == a {
				return true
			}
		}
	}
	return false
}

// String is how failures name the end.
func (e End) String() string {
	switch {
	case e.Pod == nil:
		return e.Addr.String()
	case !e.Addr.IsValid():
		return e.Pod.ID()
	}
	return e.Pod.ID() + " at " + e.Addr.String()
}
