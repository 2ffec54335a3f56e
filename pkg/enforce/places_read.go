//go:build linux

package enforce

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// readTries is how often the kernel is asked again at once when what it was
// listing changed meanwhile.
const readTries = 10

// read asks the kernel.
func (f finder) read() (p *places, err error) {
	for range readTries {
		if p, err = f.list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return p, err
}

// listing is what was read of the kernel.
type listing struct {
	finder
	*places
	links map[int]*seen
}

// seen is what is known of one interface.
type seen struct {
	name, kind string
	master     int
	// nets are the networks on it without a gateway; addrs those addresses
	// with a route of their own.
	nets  []netip.Prefix
	addrs []netip.Addr
	// subnet: it has an address in a network; gateway: others are reached
	// through it.
	subnet, gateway bool
	holds           []netip.Addr
}

func (f finder) list() (*places, error) {
	l := &listing{finder: f, links: map[int]*seen{}, places: &places{
		interfaces: map[netip.Addr]string{}, own: map[netip.Addr]bool{}, holders: map[netip.Addr]string{},
	}}
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	for _, link := range links {
		a := link.Attrs()
		l.links[a.Index] = &seen{name: a.Name, kind: link.Type(), master: a.MasterIndex}
	}
	addrs, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		l.addAddr(&a)
	}
	filter := &netlink.Route{Table: unix.RT_TABLE_MAIN}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		routes, err := netlink.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE)
		if err != nil {
			return nil, fmt.Errorf("list routes: %w", err)
		}
		for _, r := range routes {
			l.addRoute(&r)
		}
	}
	l.conclude()
	return l.places, nil
}

func (l *listing) addAddr(a *netlink.Addr) {
	ip, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return
	}
	ip = ip.Unmap()
	l.own[ip] = true
	if s := l.links[a.LinkIndex]; s != nil && !ip.IsLinkLocalUnicast() {
		ones, bits := a.Mask.Size()
		s.subnet = s.subnet || ones < bits
		s.holds = append(s.holds, ip)
	}
}

func (l *listing) addRoute(r *netlink.Route) {
	for _, hop := range r.MultiPath {
		if s := l.links[hop.LinkIndex]; s != nil {
			s.gateway = true
		}
	}
	s := l.links[r.LinkIndex]
	if s == nil {
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

// conclude says what each interface is.
func (l *listing) conclude() {
	foreign := map[int]bool{} // bridges with ports that are no pods'
	for _, s := range l.links {
		if s.master != 0 && !isPodKind(s.kind) {
			foreign[s.master] = true
		}
	}
	used := false
	for index, s := range l.links {
		switch {
		case !l.byKind():
			if l.named(s.name) {
				l.lead(s)
				if s.master != 0 {
					l.bridged = append(l.bridged, s.name)
				}
			}
		case s.kind == "bridge" && !s.gateway && !foreign[index]:
			used = true
			for _, n := range s.nets {
				l.bridges = append(l.bridges, bridgeNet{n, s.name})
			}
			for _, a := range s.addrs {
				l.bridges = append(l.bridges, bridgeNet{netip.PrefixFrom(a, a.BitLen()), s.name})
			}
		case s.kind == "bridge" || s.gateway || s.subnet || len(s.nets) > 0:
			// Whatever leads to networks is the node's, not a pod's.
			if isPodKind(s.kind) || s.kind == "bridge" {
				l.node = append(l.node, s.name)
			}
		case s.master == 0 && s.name != "lo":
			l.lead(s)
			if isPodKind(s.kind) {
				for _, a := range s.holds {
					l.holders[a] = s.name
				}
			}
		}
	}
	l.deaf = used && !bridgesCallHooks()
	slices.Sort(l.node)
	slices.Sort(l.bridged)
	slices.SortFunc(l.bridges, func(a, b bridgeNet) int {
		return cmp.Or(b.net.Bits()-a.net.Bits(), a.net.Compare(b.net), cmp.Compare(a.name, b.name))
	})
}

// lead notes that addresses are behind an interface.
func (l *listing) lead(s *seen) {
	for _, a := range s.addrs {
		l.interfaces[a] = s.name
	}
}

// bridgesCallHooks says whether bridged packets pass the hooks of IPv4 and of
// IPv6, as they do with br_netfilter.
func bridgesCallHooks() bool {
	for _, file := range []string{"bridge-nf-call-iptables", "bridge-nf-call-ip6tables"} {
		b, err := os.ReadFile("/proc/sys/net/bridge/" + file)
		if err != nil || strings.TrimSpace(string(b)) != "1" {
			return false
		}
	}
	return true
}
