package policytest

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// without is what is left of a range without others.
func without(r policy.PortRange, others []policy.PortRange) []policy.PortRange {
	left := []policy.PortRange{r}
	for _, o := range others {
		var next []policy.PortRange
		for _, l := range left {
			if o.Max < l.Min || l.Max < o.Min {
				next = append(next, l)
				continue
			}
			if l.Min < o.Min {
				next = append(next, policy.PortRange{Min: l.Min, Max: o.Min - 1})
			}
			if o.Max < l.Max {
				next = append(next, policy.PortRange{Min: o.Max + 1, Max: l.Max})
			}
		}
		left = next
	}
	return left
}

// judge asks the model. A range of ports falls apart where the verdict changes,
// and a pair with addresses of both families where that matters.
func (r *runner) judge(c Check) []Check {
	var perFamily [][]Check
	for _, at := range families(&c) {
		c.Source, c.Destination = at[0], at[1]
		perFamily = append(perFamily, r.ports(c))
	}
	switch {
	case len(perFamily) == 0:
		return nil
	case len(perFamily) == 1, slices.EqualFunc(perFamily[0], perFamily[1], func(a, b Check) bool { return a.Ports == b.Ports && a.alike(&b) }):
		return perFamily[0]
	}
	out := slices.Concat(perFamily...)
	for i := range out {
		out[i].OneFamily = true
	}
	return out
}

// ports asks for each interval of ports in which the verdict can't change, and
// joins those that got the same.
func (r *runner) ports(c Check) []Check {
	var out []Check
	for _, ports := range r.intervals(&c) {
		c.Ports = ports
		c.decide(r.m.Evaluate(r.scope, tier.Conn{
			Source: c.Source, Destination: c.Destination, Protocol: c.Protocol, Port: ports.Min,
		}))
		if n := len(out); n > 0 && out[n-1].alike(&c) {
			out[n-1].Ports.Max = ports.Max
			continue
		}
		out = append(out, c)
	}
	return out
}

// families are the addresses that two ends talk with: one pair for each family
// that both have and the protocol is of; none where there is no such family. An
// end whose addresses are not known yet may have both.
func families(c *Check) [][2]tier.Peer {
	var out [][2]tier.Peer
	known := false
	for _, is4 := range []bool{true, false} {
		src, srcHas, srcKnown := inFamily(c.Source, is4)
		dst, dstHas, dstKnown := inFamily(c.Destination, is4)
		known = known || srcKnown || dstKnown
		other := c.Protocol == policy.ICMP && !is4 || c.Protocol == policy.ICMPv6 && is4
		if srcHas && dstHas && !other && (srcKnown || dstKnown) {
			out = append(out, [2]tier.Peer{src, dst})
		}
	}
	if !known {
		return [][2]tier.Peer{{c.Source, c.Destination}}
	}
	return out
}

// inFamily is an end with its address of a family; has says that it has one or
// may have, known that its addresses are known.
func inFamily(p tier.Peer, is4 bool) (at tier.Peer, has, known bool) {
	switch {
	case p.Addr.IsValid():
		return p, p.Addr.Is4() == is4, true
	case p.Endpoint == nil || len(p.Endpoint.Addrs) == 0:
		return p, true, false
	}
	for _, a := range p.Endpoint.Addrs {
		if a.Is4() == is4 {
			return tier.Peer{Endpoint: p.Endpoint, Addr: a}, true, true
		}
	}
	return p, false, true
}

// intervals cuts the ports into parts in which the verdict can't change.
func (r *runner) intervals(c *Check) []policy.PortRange {
	if c.Ports.Min == c.Ports.Max {
		return []policy.PortRange{c.Ports}
	}
	starts := []uint16{c.Ports.Min}
	add := func(dir policy.Direction, local, peer tier.Peer) {
		if local.Endpoint == nil {
			return
		}
		for _, s := range r.m.Cuts(r.scope, dir, local, peer).Ports[c.Protocol] {
			if c.Ports.Min < s && s <= c.Ports.Max {
				starts = append(starts, s)
			}
		}
	}
	add(policy.Egress, c.Source, c.Destination)
	add(policy.Ingress, c.Destination, c.Source)
	slices.Sort(starts)
	starts = slices.Compact(starts)
	out := make([]policy.PortRange, len(starts))
	for i, s := range starts {
		out[i] = policy.PortRange{Min: s, Max: c.Ports.Max}
		if i+1 < len(starts) {
			out[i].Max = starts[i+1] - 1
		}
	}
	return out
}
