//go:build linux

package netnstest

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// End is one end of a veth pair.
type End struct {
	NS    *NS // nil is the test's own namespace
	Name  string
	Addrs []netip.Prefix
}

// Veth joins two namespaces by a veth pair that is up and has the addresses.
func Veth(t testing.TB, a, b End) {
	t.Helper()
	err := in(a.NS, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = a.Name
		// Two ends with the same number in two namespaces look like one
		// device without a peer, whose carrier the kernel announces a second
		// late, and IPv6 waits for that.
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		attrs.Index = 1000 + len(links)
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: b.Name}
		if b.NS != nil {
			veth.PeerNamespace = netlink.NsFd(b.NS.FD())
		} else if a.NS != nil {
			own, err := netns.GetFromPid(os.Getpid())
			if err != nil {
				return err
			}
			defer own.Close()
			veth.PeerNamespace = netlink.NsFd(int(own))
		}
		return netlink.LinkAdd(veth)
	})
	if err != nil {
		t.Fatalf("veth %s-%s: %v", a.Name, b.Name, err)
	}
	for _, end := range []End{a, b} {
		if err := in(end.NS, end.configure); err != nil {
			t.Fatalf("veth %s: %v", end.Name, err)
		}
	}
	for _, end := range []End{a, b} {
		if err := in(end.NS, end.awaitUp); err != nil {
			t.Fatalf("veth %s: %v", end.Name, err)
		}
	}
}

// awaitUp waits until packets pass: the kernel drops them until it has seen
// the carrier, and the sender tries again a second later only.
func (e End) awaitUp() error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		link, err := netlink.LinkByName(e.Name)
		if err != nil {
			return err
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("no carrier after 5 s")
		}
	}
}

func (e End) configure() error {
	link, err := netlink.LinkByName(e.Name)
	if err != nil {
		return err
	}
	for _, prefix := range e.Addrs {
		addr, err := netlink.ParseAddr(prefix.String())
		if err != nil {
			return err
		}
		if prefix.Addr().Is6() {
			addr.Flags = unix.IFA_F_NODAD // usable at once
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(link)
}

// Route adds a route in a namespace: dst (0.0.0.0/0 or ::/0 for the default)
// via a gateway.
func Route(t testing.TB, ns *NS, dst netip.Prefix, via netip.Addr) {
	t.Helper()
	_, ipnet, err := net.ParseCIDR(dst.Masked().String())
	if err != nil {
		t.Fatal(err)
	}
	err = in(ns, func() error {
		return netlink.RouteAdd(&netlink.Route{Dst: ipnet, Gw: via.AsSlice()})
	})
	if err != nil {
		t.Fatalf("route %s via %s: %v", dst, via, err)
	}
}

// Forward makes a namespace route packets between its interfaces, both
// families.
func Forward(t testing.TB, ns *NS) {
	t.Helper()
	err := in(ns, func() error {
		for _, path := range []string{
			"/proc/sys/net/ipv4/ip_forward",
			"/proc/sys/net/ipv6/conf/all/forwarding",
		} {
			if err := os.WriteFile(path, []byte("1"), 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("forwarding: %v", err)
	}
}
