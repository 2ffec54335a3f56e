//go:build linux

package enforce

import (
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func (l *listing) addAddr(a *netlink.Addr) {
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return
	}
	ip = ip.Unmap()
	l.own[ip] = true
	if s := l.links[a.LinkIndex]; s != nil && !ip.IsLinkLocalUnicast() {
		s.holds = append(s.holds, ip)
		if s.leadsPods() && ip.Is6() && a.Flags&unix.IFA_F_PERMANENT == 0 {
			return // made of a router's advertisement
		}
		ones, bits := a.Mask.Size()
		s.subnet = s.subnet || ones < bits
		for _, n := range []*net.IPNet{a.IPNet, a.Peer} {
			if p, ok := destination(n); ok {
				s.fixed = append(s.fixed, p.Masked())
			}
		}
	}
}

func (l *listing) addRoute(r *netlink.Route) {
	for _, hop := range r.MultiPath {
		if s := l.links[hop.LinkIndex]; s != nil && !s.advertised(r) {
			s.gateway = true
		}
	}
	s := l.links[r.LinkIndex]
	if s == nil || s.advertised(r) {
		return
	}
	dst, ok := destination(r.Dst)
	switch {
	case dst.Addr().IsLinkLocalUnicast() || dst.Addr().IsMulticast():
	case !ok, r.Gw != nil, r.Via != nil, dst.Bits() == 0:
		s.gateway = true
	case dst.IsSingleIP():
		s.addrs = append(s.addrs, dst.Addr())
	default:
		s.nets = append(s.nets, dst)
	}
}

// leadsPods says whether pods may be behind an interface of its kind.
func (s *seen) leadsPods() bool { return s.kind == "bridge" || isPodKind(s.kind) }

// advertised says whether a route to pods came by a router's advertisement:
// before the first rules any of them may send those. Networks that such a one
// calls the link's look like the kernel's own routes, which have an address there.
func (s *seen) advertised(r *netlink.Route) bool {
	dst, ok := destination(r.Dst)
	switch {
	case !s.leadsPods():
		return false
	case r.Protocol == unix.RTPROT_RA:
		return true
	case ok && r.Protocol == unix.RTPROT_KERNEL && dst.Addr().Is6():
		return !slices.Contains(s.fixed, dst.Masked())
	}
	return false
}

// destination is a route's; false is the default route's.
func destination(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	ip, ok := netip.AddrFromSlice(n.IP)
	ones, bits := n.Mask.Size()
	if ip = ip.Unmap(); ok && bits == 128 && ip.Is4() {
		ones -= 96
	}
	return netip.PrefixFrom(ip, ones), ok && ones >= 0
}
