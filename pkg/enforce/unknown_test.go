//go:build linux

package enforce_test

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// A pod's packets must carry that pod's addresses, whatever policies allow.
func TestS31_SpoofedSourceIsClosed(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server, liar := n.addPod("client"), n.addPod("server"), n.addPod("liar")
		n.listen(server, serverPort)
		n.policy("server", open8080)
		a := n.start(nil)
		for family := range 2 {
			to := netip.AddrPortFrom(server.addrs[family], serverPort)
			tap := n.tap(server)
			for what, source := range map[string]netip.Addr{
				"another pod's":        client.addrs[family],
				"the destination's":    server.addrs[family],
				"the host's":           hostAddrs[family],
				"one outside":          addresses("192.0.2.7", "2001:db8::7")[family],
				"a second of its own":  addresses("10.65.0.200", "fd65::200")[family],
				"a link-local address": addresses("169.254.7.7", "fe80::7777")[family],
			} {
				for _, proto := range []int{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
					before := n.dropped("drop-spoofed", "")
					fd, err := open(liar, proto, netip.AddrPortFrom(source, 4000), to)
					if err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					await(t, what+": to be dropped as spoofed", func() bool { return n.dropped("drop-spoofed", "") > before })
					_ = unix.Close(fd)
				}
			}
			for _, got := range n.arrived(tap, server) {
				t.Errorf("reached the server: %s", got)
			}
			if got := a.try(client, server, family, serverPort); got != connected {
				t.Errorf("the true client: %s, want %s", got, connected)
			}
		}
		a.agreed()
	})
}

// The tuple of a live connection, spoken by another pod, is not that
// connection.
func TestS31_SpoofedLiveTuple(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server, liar := n.addPod("client"), n.addPod("server"), n.addPod("liar")
		n.policy("server", open8080)
		a := n.start(nil)
		for family := range 2 {
			k := n.udp(client, server, family, serverPort)
			k.alive(t, "before")
			before := n.dropped("drop-spoofed", "")
			fd, err := open(liar, unix.IPPROTO_UDP,
				netip.MustParseAddrPort(k.client.LocalAddr().String()), netip.AddrPortFrom(server.addrs[family], serverPort))
			n.must(err)
			_ = unix.Close(fd)
			await(t, "the packet to be dropped", func() bool { return n.dropped("drop-spoofed", "") > before })
			silent(t, "spoofed", k.server)
			k.alive(t, "after")
		}
		a.agreed()
	})
}

// An interface or address that no manifest tells of is closed, except from its
// own host; it opens when the manifest comes.
func TestS31_UnknownPodIsClosed(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		known, unknown := n.addPod("known"), n.join("unknown")
		n.listen(known, serverPort)
		n.listen(unknown, serverPort)
		n.listen(nil, serverPort)
		a := n.start(nil)
		closedOff := func(what string, from, to *pod, family int) {
			t.Helper()
			before := n.dropped("drop-unknown", "")
			fd, err := open(from, unix.IPPROTO_TCP, netip.AddrPortFrom(ownAddrs(from)[family], 0), netip.AddrPortFrom(ownAddrs(to)[family], serverPort))
			n.must(err)
			defer unix.Close(fd)
			await(t, what+": to be dropped as unknown", func() bool { return n.dropped("drop-unknown", "") > before })
			if done, err := waitConnected(fd, 0); done {
				t.Errorf("%s: connected (%v)", what, err)
			}
		}
		for family := range 2 {
			closedOff("from an unknown pod", unknown, known, family)
			closedOff("to an unknown pod", known, unknown, family)
			closedOff("from an unknown pod to the host", unknown, nil, family)
			if got := a.try(nil, unknown, family, serverPort); got != connected {
				t.Errorf("from the host to an unknown pod: %s, want %s", got, connected)
			}
		}
		for family := range 2 {
			n.unroutedIsClosed(known, family)
		}
		n.manifest(unknown, nodeName, "")
		a.sync()
		for family := range 2 {
			if got := a.try(known, unknown, family, serverPort); got != connected {
				t.Errorf("to a pod that has become known: %s, want %s", got, connected)
			}
			if got := a.try(unknown, known, family, serverPort); got != connected {
				t.Errorf("from a pod that has become known: %s, want %s", got, connected)
			}
		}
		a.agreed()
	})
}

// unroutedIsClosed sends to an address of this node's pods that is behind no
// pod interface (yet).
func (n *node) unroutedIsClosed(from *pod, family int) {
	n.t.Helper()
	if n.stray == nil {
		n.stray = n.wire("stray", addresses("10.65.0.99", "fd65::99"))
	}
	before := n.dropped("drop-unknown", "")
	fd, err := open(from, unix.IPPROTO_UDP, netip.AddrPortFrom(from.addrs[family], 0), netip.AddrPortFrom(n.stray.addrs[family], serverPort))
	n.must(err)
	defer unix.Close(fd)
	await(n.t, "what goes to an unknown local address to be dropped", func() bool { return n.dropped("drop-unknown", "") > before })
}

// tap watches what a pod's interface is given.
func (n *node) tap(p *pod) []int {
	n.t.Helper()
	var fds []int
	n.must(p.Do(func() error {
		for _, proto := range []uint16{unix.ETH_P_IP, unix.ETH_P_IPV6} {
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(proto<<8|proto>>8))
			if err != nil {
				return err
			}
			fds = append(fds, fd)
		}
		return nil
	}))
	n.t.Cleanup(func() {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
	})
	return fds
}

// arrived lists the TCP and UDP packets to a pod's address that a tap saw.
func (n *node) arrived(fds []int, p *pod) (list []string) {
	n.t.Helper()
	buf := make([]byte, 2048)
	for _, fd := range fds {
		for {
			size, _, err := unix.Recvfrom(fd, buf, 0)
			if err != nil {
				break
			}
			if s := describe(buf[:size]); s != "" {
				list = append(list, s)
			}
		}
	}
	return list
}

// describe names a TCP or UDP packet; it is empty for any other.
func describe(b []byte) string {
	var src, dst netip.Addr
	var proto byte
	switch {
	case len(b) >= 24 && b[0]>>4 == 4:
		proto = b[9]
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		b = b[20:]
	case len(b) >= 44 && b[0]>>4 == 6:
		proto = b[6]
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		b = b[40:]
	}
	if proto != unix.IPPROTO_TCP && proto != unix.IPPROTO_UDP {
		return ""
	}
	return fmt.Sprintf("protocol %d from %s port %d to %s port %d", proto, src, int(b[0])<<8|int(b[1]), dst, int(b[2])<<8|int(b[3]))
}
