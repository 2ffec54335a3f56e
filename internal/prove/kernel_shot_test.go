package prove

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/policy"
)

// shot is one connection attempt. Protocols without ports carry SourcePort as
// an identifier in their second four bytes.
type shot struct {
	Wire
	from     *netnstest.NS
	source   netip.Addr
	spoofed  bool // the source address is not the sender's
	to       string
	dest     netip.Addr
	expected bool
	what     string
	reached  bool
}

// key is how a tap sees the shot. What has neither ports nor types has nothing
// where others have the destination port.
func (s *shot) key() seen {
	k := seen{proto: s.Protocol, sport: s.SourcePort, dport: s.Port, source: s.source, dest: s.dest, to: s.to}
	if s.to == "host" {
		k.dest = netip.Addr{}
	}
	if !hasPorts(s.Protocol) && !policy.Protocol(s.Protocol).HasTypes() {
		k.dport = 0
	}
	return k
}

// send enters the sender's namespace and starts the connection.
func (s *shot) send() error {
	if err := unix.Setns(s.from.FD(), unix.CLONE_NEWNET); err != nil {
		return err
	}
	return s.open()
}

// open starts the connection: by a real socket where the kernel has one, else
// by a raw packet.
func (s *shot) open() error {
	if s.Protocol == unix.IPPROTO_TCP || s.Protocol == unix.IPPROTO_UDP {
		return s.openSocket()
	}
	return s.openRaw()
}

// openSocket sends a UDP datagram or a TCP SYN. The socket is closed at once,
// before anything can be sent a second time.
func (s *shot) openSocket() error {
	kind := unix.SOCK_DGRAM
	if s.Protocol == unix.IPPROTO_TCP {
		kind = unix.SOCK_STREAM
	}
	fd, err := s.socket(kind, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, sockaddr(s.source, s.SourcePort)); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	err = unix.Connect(fd, sockaddr(s.dest, s.Port))
	if s.Protocol == unix.IPPROTO_TCP {
		if err == unix.EINPROGRESS || err == unix.ECONNREFUSED {
			return nil
		}
		return err
	}
	if err == nil {
		_, err = unix.Write(fd, []byte("netpol"))
	}
	return err
}

// openRaw sends the first packet of a connection without a socket for it.
func (s *shot) openRaw() error {
	fd, err := s.socket(unix.SOCK_RAW, s.Protocol)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, sockaddr(s.source, 0)); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return unix.Sendto(fd, s.payload(), 0, sockaddr(s.dest, 0))
}

// socket opens a socket of the source's family, one that may have another's
// address where the shot does.
func (s *shot) socket(kind, proto int) (int, error) {
	family, level, transparent := unix.AF_INET, unix.SOL_IP, unix.IP_TRANSPARENT
	if s.source.Is6() {
		family, level, transparent = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, proto)
	if err != nil {
		return 0, err
	}
	if s.spoofed {
		if err := unix.SetsockoptInt(fd, level, transparent, 1); err != nil {
			_ = unix.Close(fd)
			return 0, fmt.Errorf("transparent: %w", err)
		}
	}
	return fd, nil
}

func sockaddr(a netip.Addr, port int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	return &unix.SockaddrInet6{Addr: a.As16(), Port: port}
}

func bigEndian(v uint16) uint16 { return v<<8 | v>>8 }
