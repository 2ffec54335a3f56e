package recommend

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// peers are workloads, by their places in pairs.all.
type peers struct {
	has  []bool
	list []int32
}

func newPeers(n int) *peers { return &peers{has: make([]bool, n)} }

func (s *peers) add(w int32) {
	if !s.has[w] {
		s.has[w] = true
		s.list = append(s.list, w)
	}
}

func (s *peers) clear() {
	for _, w := range s.list {
		s.has[w] = false
	}
	s.list = s.list[:0]
}

// peers fills in the workloads that w's policies may allow in a direction: whom
// the rules that allow or pass speak of. There may be more of them than are
// allowed.
func (p *pairs) peers(d policy.Direction, w int32, out *peers) {
	out.clear()
	if !p.some(d, w, out) {
		for i := range p.all {
			out.add(int32(i))
		}
	}
}

// some is peers, but false if these may be everybody.
func (p *pairs) some(d policy.Direction, w int32, out *peers) bool {
	selecting := p.m.Selecting(p.req.scope(), d, p.all[w].pod)
	if len(selecting) == 0 || p.m.Snapshot().Tier(tier.DefaultTier).DefaultAction == policy.Pass {
		return false
	}
	for _, pol := range selecting {
		for i := range pol.Rules[d] {
			r := &pol.Rules[d][i]
			if r.Action != policy.Allow && r.Action != policy.Pass {
				continue
			}
			side := &r.Source
			if d == policy.Egress {
				side = &r.Destination
			}
			if !p.side(pol, side, out) {
				return false
			}
		}
	}
	return true
}

// side adds the workloads that a side of a rule may speak of; false if that may be
// everybody.
func (p *pairs) side(pol *policy.Policy, e *policy.Entity, out *peers) bool {
	for _, n := range e.Nets {
		p.inNet(n, out)
	}
	whom := p.m.Whom(pol, e)
	if whom.Anyone {
		return len(e.Nets) > 0
	}
	for ep := range whom.Endpoints() {
		for _, w := range p.alike[p.m.Identity(ep)] {
			out.add(w)
		}
	}
	if !whom.Addresses {
		return true
	}
	for i := range p.all {
		if p.all[i].inSet {
			out.add(int32(i))
		}
	}
	if e.Service != nil {
		if svc := p.m.Snapshot().Service(e.Service.Namespace, e.Service.Name); svc != nil {
			for _, b := range svc.Backends {
				p.inNet(netip.PrefixFrom(b.Addr, b.Addr.BitLen()), out)
			}
		}
	}
	return true
}

// inNet adds the workloads with an address in a net.
func (p *pairs) inNet(n netip.Prefix, out *peers) {
	i, _ := slices.BinarySearchFunc(p.byAddr, n.Masked().Addr(), func(a addrOf, want netip.Addr) int { return a.addr.Compare(want) })
	for ; i < len(p.byAddr) && n.Contains(p.byAddr[i].addr); i++ {
		out.add(p.byAddr[i].workload)
	}
}
