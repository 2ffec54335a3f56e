package netnstest

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NS is a network namespace.
type NS struct {
	file *os.File
}

// NewNS makes an empty network namespace with its loopback up; it is gone
// after the test.
func NewNS(t testing.TB) *NS {
	t.Helper()
	ns, err := makeNS()
	if err != nil {
		t.Fatalf("network namespace: %v", err)
	}
	t.Cleanup(func() { _ = ns.file.Close() })
	ns.Must(t, func() error {
		// Without this every link-local address spends two seconds looking
		// for a duplicate, and neighbour discovery waits for it.
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0); err != nil {
			return err
		}
		return linkUp("lo")
	})
	return ns
}

func makeNS() (*NS, error) {
	type result struct {
		ns  *NS
		err error
	}
	done := make(chan result, 1)
	go func() {
		// Never unlocked: the thread is in another namespace now, and the
		// runtime ends it together with this goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- result{err: err}
			return
		}
		file, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()))
		done <- result{ns: &NS{file: file}, err: err}
	}()
	r := <-done
	return r.ns, r.err
}

// FD is the namespace's file descriptor, valid until the test ends.
func (ns *NS) FD() int { return int(ns.file.Fd()) }

// Do runs fn in the namespace, on a thread of its own that is thrown away.
// Sockets and files that fn opens stay in the namespace wherever they are
// used; goroutines that it starts do not run there.
func (ns *NS) Do(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(ns.FD(), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter namespace: %w", err)
			return
		}
		done <- fn()
	}()
	return <-done
}

// Must is Do for steps without which the test has no sense.
func (ns *NS) Must(t testing.TB, fn func() error) {
	t.Helper()
	if err := ns.Do(fn); err != nil {
		t.Fatal(err)
	}
}

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

func in(ns *NS, fn func() error) error {
	if ns == nil {
		return fn()
	}
	return ns.Do(fn)
}

func loopbackUp(t testing.TB) {
	t.Helper()
	if err := linkUp("lo"); err != nil {
		t.Fatalf("loopback: %v", err)
	}
}

func linkUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}
