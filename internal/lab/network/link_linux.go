package network

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// links are the two ends of a veth.
type links struct {
	inside       *netlink.Handle // speaks to the inner end's namespace
	inner, outer netlink.Link
}

func (l *links) close() { l.inside.Close() }

// makeVeth makes a veth from here, where it is called outer, into ns and
// brings both ends and the inside's lo up.
func makeVeth(ns *Namespace, outer, inner string) (*links, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = outer
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: inner, PeerNamespace: netlink.NsFd(int(ns.file.Fd()))}
	if err := netlink.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("make veth %s: %w", outer, err)
	}
	l := &links{}
	var err error
	if l.outer, err = netlink.LinkByName(outer); err != nil {
		return nil, fmt.Errorf("find %s: %w", outer, err)
	}
	if err := ns.Do(func() (err error) {
		l.inside, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	}); err != nil {
		return nil, fmt.Errorf("open netlink in a pod's namespace: %w", err)
	}
	if err := l.up(inner); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *links) up(inner string) (err error) {
	if l.inner, err = l.inside.LinkByName(inner); err != nil {
		return fmt.Errorf("find %s: %w", inner, err)
	}
	lo, err := l.inside.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	for _, step := range []func() error{
		func() error { return l.inside.LinkSetUp(lo) },
		func() error { return netlink.LinkSetUp(l.outer) },
		func() error { return l.inside.LinkSetUp(l.inner) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("bring %s up: %w", l.outer.Attrs().Name, err)
		}
	}
	return nil
}

// defaultRoute sends everything from inside to gateway.
func (l *links) defaultRoute(gateway netip.Addr) error {
	all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if gateway.Is6() {
		all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	route := &netlink.Route{
		LinkIndex: l.inner.Attrs().Index, Dst: ipNet(all), Gw: gateway.AsSlice(),
		Flags: int(netlink.FLAG_ONLINK),
	}
	if err := l.inside.RouteAdd(route); err != nil {
		return fmt.Errorf("default route by %s: %w", gateway, err)
	}
	return nil
}

// addAddr gives a link an address; h is nil for this namespace. IPv6 addresses
// are usable at once: nobody else can have them.
func addAddr(h *netlink.Handle, link netlink.Link, p netip.Prefix, scope int) error {
	addr := &netlink.Addr{IPNet: ipNet(p), Scope: scope}
	if p.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
		addr.Scope = 0 // the kernel knows an IPv6 address's scope
	}
	add := netlink.AddrAdd
	if h != nil {
		add = h.AddrAdd
	}
	if err := add(link, addr); err != nil {
		return fmt.Errorf("address %s on %s: %w", p, link.Attrs().Name, err)
	}
	return nil
}

// host is an address as a prefix of full length.
func host(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
