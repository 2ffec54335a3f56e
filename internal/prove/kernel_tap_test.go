package prove

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// seen is a packet that reached a place.
type seen struct {
	proto, sport, dport int
	source              netip.Addr
}

// tap watches what reaches one place.
type tap struct {
	name string
	fds  []int
}

// newTap watches an interface inside a namespace. Nobody needs to listen on a
// port for a packet to be seen.
func newTap(t *testing.T, ns *netnstest.NS, ifname string) *tap {
	t.Helper()
	out := &tap{name: ifname}
	ns.Must(t, func() error {
		link, err := netlink.LinkByName(ifname)
		if err != nil {
			return err
		}
		for _, proto := range []uint16{unix.ETH_P_IP, unix.ETH_P_IPV6} { // with ETH_P_ALL it would see what it sends, too
			fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, int(bigEndian(proto)))
			if err != nil {
				return err
			}
			out.fds = append(out.fds, fd)
			at := &unix.SockaddrLinklayer{Protocol: bigEndian(proto), Ifindex: link.Attrs().Index}
			if err := unix.Bind(fd, at); err != nil {
				return err
			}
		}
		return nil
	})
	t.Cleanup(out.close)
	return out
}

// rawProtocols are those that a raw tap opens, for each family.
var rawProtocols = []int{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_SCTP}

// newRawTap watches what the namespace itself is given, after its input hook.
func newRawTap(t *testing.T, ns *netnstest.NS) *tap {
	t.Helper()
	out := &tap{name: "host"}
	ns.Must(t, func() error {
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			for _, proto := range rawProtocols {
				fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
				if err != nil {
					return err
				}
				out.fds = append(out.fds, fd)
			}
		}
		return nil
	})
	t.Cleanup(out.close)
	return out
}

func (p *tap) close() {
	for _, fd := range p.fds {
		_ = unix.Close(fd)
	}
}

// drain calls f for every packet that has come.
func (p *tap) drain(f func(seen)) error {
	buf := make([]byte, 2048)
	for _, fd := range p.fds {
		for {
			n, from, err := unix.Recvfrom(fd, buf, 0)
			if err == unix.EAGAIN {
				break
			}
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if s, ok := parse(buf[:n], from, fd, p.fds); ok {
				f(s)
			}
		}
	}
	return nil
}

// parse reads a TCP or UDP packet. A raw IPv6 socket gives no header, but the
// sender; which protocol it is for is known by its place among fds.
func parse(b []byte, from unix.Sockaddr, fd int, fds []int) (seen, bool) {
	var s seen
	switch sa, raw6 := from.(*unix.SockaddrInet6); {
	case raw6:
		at := slices.Index(fds, fd) // IPv6 comes second
		s.source, s.proto = netip.AddrFrom16(sa.Addr), rawProtocols[at-len(rawProtocols)]
	case len(b) >= 20 && b[0]>>4 == 4:
		s.source, s.proto = netip.AddrFrom4([4]byte(b[12:16])), int(b[9])
		b = b[int(b[0]&15)*4:]
	case len(b) >= 40 && b[0]>>4 == 6:
		s.source, s.proto = netip.AddrFrom16([16]byte(b[8:24])), int(b[6])
		b = b[40:]
	default:
		return s, false
	}
	if len(b) < 4 || s.proto != unix.IPPROTO_TCP && s.proto != unix.IPPROTO_UDP && s.proto != unix.IPPROTO_SCTP {
		return s, false
	}
	s.sport, s.dport = int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
	return s, true
}
