package prove

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/policy"
)

// seen is a packet that reached a place: where others have ports ICMP has an
// identifier and type and code, the rest an identifier only.
type seen struct {
	proto, sport, dport int
	source, dest        netip.Addr // of what the host gets, the source only
	to                  string
}

// tap watches what reaches one place.
type tap struct {
	name string
	fds  []int
	// protos are those of raw sockets, by place in fds; 0 where a packet comes
	// with its header.
	protos []int
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
			out.fds, out.protos = append(out.fds, fd), append(out.protos, 0)
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

// rawProtocols are those that a raw tap opens, for each family that has them.
var rawProtocols = []int{unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_SCTP, unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6, 136, 47, 99}

// newRawTap watches what the namespace itself is given, after its input hook.
func newRawTap(t *testing.T, ns *netnstest.NS) *tap {
	t.Helper()
	out := &tap{name: "host"}
	ns.Must(t, func() error {
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			for _, proto := range rawProtocols {
				if family == unix.AF_INET && proto == unix.IPPROTO_ICMPV6 || family == unix.AF_INET6 && proto == unix.IPPROTO_ICMP {
					continue
				}
				fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
				if err != nil {
					return err
				}
				out.fds, out.protos = append(out.fds, fd), append(out.protos, proto)
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
	for i, fd := range p.fds {
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
			if s, ok := parse(buf[:n], from, p.protos[i]); ok {
				f(s)
			}
		}
	}
	return nil
}

// parse reads a packet. A raw IPv6 socket gives no header, but the sender; the
// protocol is the socket's.
func parse(b []byte, from unix.Sockaddr, proto int) (seen, bool) {
	s := seen{proto: proto}
	switch sa, raw6 := from.(*unix.SockaddrInet6); {
	case raw6:
		s.source = netip.AddrFrom16(sa.Addr)
	case len(b) >= 20 && b[0]>>4 == 4:
		s.source, s.dest, s.proto = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20])), int(b[9])
		b = b[int(b[0]&15)*4:]
	case len(b) >= 40 && b[0]>>4 == 6:
		s.source, s.dest, s.proto = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40])), int(b[6])
		b = b[40:]
	default:
		return s, false
	}
	if len(b) < 8 {
		return s, false
	}
	switch first, second, third := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint16(b[4:]); {
	case hasPorts(s.proto):
		s.sport, s.dport = int(first), int(second)
	case policy.Protocol(s.proto).HasTypes():
		s.sport, s.dport = int(third), int(first)
	default:
		s.sport = int(third)
	}
	return s, true
}
