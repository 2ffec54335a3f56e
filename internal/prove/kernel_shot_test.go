package prove

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// shot is one connection attempt.
type shot struct {
	from     *netnstest.NS
	source   netip.Addr
	spoofed  bool // the source address is not the sender's
	to       string
	dest     netip.Addr
	proto    int
	port     int
	sport    int
	expected bool
	what     string
	reached  bool
}

// send enters the sender's namespace and starts the connection.
func (s *shot) send() error {
	if err := unix.Setns(s.from.FD(), unix.CLONE_NEWNET); err != nil {
		return err
	}
	return s.open()
}

// open makes a real socket: a UDP one sends a datagram, a TCP one its SYN. It
// is closed at once, before anything can be sent a second time.
func (s *shot) open() error {
	if s.proto == unix.IPPROTO_SCTP {
		return s.openRaw()
	}
	family, kind := unix.AF_INET, unix.SOCK_DGRAM
	level, transparent := unix.SOL_IP, unix.IP_TRANSPARENT
	if s.source.Is6() {
		family, level, transparent = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	if s.proto == unix.IPPROTO_TCP {
		kind = unix.SOCK_STREAM
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if s.spoofed {
		if err := unix.SetsockoptInt(fd, level, transparent, 1); err != nil {
			return fmt.Errorf("transparent: %w", err)
		}
	}
	if err := unix.Bind(fd, sockaddr(s.source, s.sport)); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	err = unix.Connect(fd, sockaddr(s.dest, s.port))
	if s.proto == unix.IPPROTO_TCP {
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

// openRaw sends the first packet of an SCTP association, which few kernels
// have sockets for: a common header and an INIT chunk.
func (s *shot) openRaw() error {
	family, level, transparent := unix.AF_INET, unix.SOL_IP, unix.IP_TRANSPARENT
	if s.source.Is6() {
		family, level, transparent = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_SCTP)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if s.spoofed {
		if err := unix.SetsockoptInt(fd, level, transparent, 1); err != nil {
			return fmt.Errorf("transparent: %w", err)
		}
	}
	if err := unix.Bind(fd, sockaddr(s.source, 0)); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	p := make([]byte, 32)
	binary.BigEndian.PutUint16(p, uint16(s.sport))
	binary.BigEndian.PutUint16(p[2:], uint16(s.port))
	p[12], p[15] = 1, 20 // INIT, its length
	binary.BigEndian.PutUint32(p[16:], 1)
	binary.BigEndian.PutUint32(p[20:], 65536)
	binary.BigEndian.PutUint16(p[24:], 1)
	binary.BigEndian.PutUint16(p[26:], 1)
	// conntrack drops what has a wrong sum, which is sent low byte first
	binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
	return unix.Sendto(fd, p, 0, sockaddr(s.dest, 0))
}

func sockaddr(a netip.Addr, port int) unix.Sockaddr {
	if a.Is4() {
		return &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	return &unix.SockaddrInet6{Addr: a.As16(), Port: port}
}

func bigEndian(v uint16) uint16 { return v<<8 | v>>8 }
