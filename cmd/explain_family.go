package cmd

import (
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// byFamily is a connection once for each family that both its ends have and
// its protocol is of, if policies could tell them apart (S23); else as it is.
func byFamily(m *tier.Model, scope tier.Scope, c tier.Conn) []tier.Conn {
	src, dst := c.Source.Endpoint, c.Destination.Endpoint
	oneOnly := c.Protocol == policy.ICMP || c.Protocol == policy.ICMPv6
	if !oneOnly && !(src != nil && m.ByAddress(scope, policy.Egress, src)) && !(dst != nil && m.ByAddress(scope, policy.Ingress, dst)) {
		return []tier.Conn{c}
	}
	var out []tier.Conn
	for _, is4 := range []bool{true, false} {
		if is4 && c.Protocol == policy.ICMPv6 || !is4 && c.Protocol == policy.ICMP {
			continue
		}
		one := c
		if pickFamily(&one.Source, is4) && pickFamily(&one.Destination, is4) &&
			(one.Source.Addr.IsValid() || one.Destination.Addr.IsValid()) {
			out = append(out, one)
		}
	}
	if len(out) == 0 { // no such packet, or addresses that are not known: an answer all the same
		return []tier.Conn{c}
	}
	return out
}

// pickFamily gives a peer its address of a family; false if it has addresses,
// but none of it.
func pickFamily(p *tier.Peer, is4 bool) bool {
	if p.Addr.IsValid() {
		return p.Addr.Is4() == is4
	}
	if p.Endpoint == nil || len(p.Endpoint.Addrs) == 0 {
		return true
	}
	for _, a := range p.Endpoint.Addrs {
		if a.Is4() == is4 {
			p.Addr = a
			return true
		}
	}
	return false
}

// familyOf is the family that a connection is judged by.
func familyOf(c *tier.Conn) string {
	addr := c.Source.Addr
	if !addr.IsValid() {
		addr = c.Destination.Addr
	}
	if addr.IsValid() && !addr.Is4() {
		return "IPv6"
	}
	return "IPv4"
}
