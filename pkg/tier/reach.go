package tier

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// reach is what an entity matches by address, whoever owns that: the networks
// of network sets, host endpoints' addresses, and backends of a Service that
// are not pods it selects (S18, S20). It does not change once it is made.
type reach struct {
	nets   []netip.Prefix // sorted, without duplicates
	ranges []addrRange    // the same, sorted and apart
	// service is nil unless the entity is a Service's backends.
	service *policy.Service
	// digest tells reaches of different content apart, also from one process
	// to the next.
	digest [16]byte
}

// addrRange is a range of addresses of one family, both ends inclusive.
type addrRange struct{ lo, hi netip.Addr }

// has says whether the address is in the reach; r may be nil.
func (r *reach) has(a netip.Addr) bool {
	if r == nil || !a.IsValid() {
		return false
	}
	i, ok := slices.BinarySearchFunc(r.ranges, a, func(r addrRange, a netip.Addr) int { return r.lo.Compare(a) })
	if ok {
		return true
	}
	return i > 0 && a.Compare(r.ranges[i-1].hi) <= 0 && r.ranges[i-1].lo.Is4() == a.Is4()
}

// wide says whether the reach has any address.
func (r *reach) wide() bool { return r != nil && len(r.ranges) > 0 }

// reachOf finds what an entity matches by address; nil if nothing.
func (m *Model) reachOf(e *entity) *reach {
	r := &reach{}
	if e.service.Name != "" {
		if r.service = m.labels.services[e.service]; r.service == nil {
			return nil
		}
		for i := range r.service.Backends {
			a := r.service.Backends[i].Addr.Unmap()
			r.nets = append(r.nets, netip.PrefixFrom(a, a.BitLen()))
		}
	} else {
		for _, set := range m.snap.NetworkSets {
			if e.matchesSet(set.Namespace, set.Labels, &m.labels) {
				r.nets = append(r.nets, set.Nets...)
			}
		}
		for _, hep := range m.snap.HostEndpoints {
			if e.matchesSet("", hep.Labels, &m.labels) {
				for _, a := range hep.Addrs {
					a = a.Unmap()
					r.nets = append(r.nets, netip.PrefixFrom(a, a.BitLen()))
				}
			}
		}
		if len(r.nets) == 0 {
			return nil
		}
	}
	r.nets = sortNets(r.nets)
	r.ranges = merge(r.nets)
	r.digest = r.sum()
	return r
}

// sum hashes what the reach holds.
func (r *reach) sum() [16]byte {
	h := sha256.New()
	for _, n := range r.nets {
		b, _ := n.MarshalBinary()
		h.Write(binary.AppendUvarint(nil, uint64(len(b))))
		h.Write(b)
	}
	if s := r.service; s != nil {
		fmt.Fprintf(h, "%q %v %v %v", s.Selector, s.Ports, s.Backends, s.Namespace)
	}
	return [16]byte(h.Sum(nil)[:16])
}

// merge are the ranges that sorted prefixes cover. Prefixes nest or lie apart,
// so one that starts within the last range ends within it too.
func merge(nets []netip.Prefix) []addrRange {
	out := make([]addrRange, 0, len(nets))
	for _, n := range nets {
		lo, hi := n.Addr(), policy.LastAddr(n)
		if k := len(out); k > 0 && out[k-1].lo.Is4() == lo.Is4() {
			if lo.Compare(out[k-1].hi) <= 0 {
				continue
			}
			if out[k-1].hi.Next() == lo {
				out[k-1].hi = hi
				continue
			}
		}
		out = append(out, addrRange{lo, hi})
	}
	return out
}

// sortNets masks, sorts and takes out duplicates.
func sortNets(nets []netip.Prefix) []netip.Prefix {
	for i := range nets {
		nets[i] = nets[i].Masked()
	}
	slices.SortFunc(nets, comparePrefixes)
	return slices.Compact(nets)
}

func comparePrefixes(a, b netip.Prefix) int {
	if d := a.Addr().Compare(b.Addr()); d != 0 {
		return d
	}
	return a.Bits() - b.Bits()
}

// servesAt says whether one of a Service's endpoints at one end of a
// connection takes it: address, protocol and port together (S20).
func (r *reach) servesAt(x *end, rep *policy.Endpoint, proto policy.Protocol, port uint16) bool {
	found := false
	r.ports(x, rep, func(p policy.Protocol, number uint16) {
		found = found || p == proto && number == port
	})
	return found
}

// ports calls f for every protocol and port on which the Service's endpoint at
// x takes connections. rep is a pod like the one at x, nil if there is none.
func (r *reach) ports(x *end, rep *policy.Endpoint, f func(policy.Protocol, uint16)) {
	if r == nil || r.service == nil {
		return
	}
	if rep != nil && selects(r.service, rep) {
		for i := range r.service.Ports {
			sp := &r.service.Ports[i]
			// Of several ports of one name Kubernetes takes the first, other
			// than rules that name a port (S21).
			if number := sp.TargetPortOf(rep); number != 0 {
				f(sp.Protocol, number)
			}
		}
	}
	for i := range r.service.Backends {
		if b := &r.service.Backends[i]; b.Addr.Unmap() == x.addr {
			for _, cp := range b.Ports {
				f(cp.Protocol, cp.Port)
			}
		}
	}
}
