package prove

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

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

// volley is a number of attempts that are made together.
type volley struct {
	*node
	shots map[seen]*shot
}

// fire makes all attempts from one thread on one processor, and then waits
// until what was let through has arrived: twice, it sends a mark to every
// place on a way that is never closed (the host to its own pods, S12). The
// processor handles packets in the order in which they were sent, one hop at a
// time, and the way through the node has two hops; so behind the second mark
// nothing can be left.
func (n *node) fire(shots []*shot) error {
	v := volley{n, map[seen]*shot{}}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
		done <- v.fire(shots)
	}()
	return <-done
}

func (v volley) fire(shots []*shot) error {
	if err := pin(); err != nil {
		return err
	}
	for i, s := range shots {
		s.sport = v.nextPort()
		v.shots[seen{s.proto, s.sport, s.port, s.source}] = s
		if err := s.send(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		if i%64 == 63 { // before a tap can be full
			if err := v.collect(nil); err != nil {
				return err
			}
		}
	}
	for range 2 {
		if err := v.mark(); err != nil {
			return err
		}
	}
	return v.lost()
}

// nextPort gives every attempt its own source port, so that no connection of
// one world can be taken for one of the next.
func (n *node) nextPort() int {
	n.sport = 20000 + (n.sport+1)%40000
	return n.sport
}

// pin binds the thread to one processor, the first that it may use.
func pin() error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	for cpu := range 1024 {
		if set.IsSet(cpu) {
			set.Zero()
			set.Set(cpu)
			return unix.SchedSetaffinity(0, &set)
		}
	}
	return errors.New("no processor to run on")
}

// markPort is the destination port of marks; no rule of a world names it.
const markPort = 9

// mark sends a mark to every place and waits until all have come.
func (v volley) mark() error {
	if err := unix.Setns(v.host.FD(), unix.CLONE_NEWNET); err != nil {
		return err
	}
	missing := map[seen]string{}
	for place := range v.taps {
		m := shot{source: hostAddrs[0], dest: v.address(place), proto: unix.IPPROTO_UDP, port: markPort, sport: v.nextPort()}
		missing[seen{m.proto, m.sport, m.port, m.source}] = place
		if err := m.open(); err != nil {
			return fmt.Errorf("mark for %s: %w", place, err)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		if err := v.collect(missing); err != nil || len(missing) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("marks did not reach %v", missing)
		}
		if err := v.wait(missing); err != nil {
			return err
		}
	}
}

// collect notes which attempts, and which of the missing marks, have come.
func (v volley) collect(missing map[seen]string) error {
	for place, tap := range v.taps {
		err := tap.drain(func(s seen) {
			if missing[s] == place {
				delete(missing, s)
			}
			if hit := v.shots[s]; hit != nil && hit.to == place {
				hit.reached = true
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lost fails if a tap had to drop something: then "nothing came" proves
// nothing.
func (v volley) lost() error {
	for place, tap := range v.taps {
		if place == "host" {
			continue
		}
		for _, fd := range tap.fds {
			stats, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
			if err != nil {
				return err
			}
			if stats.Drops > 0 {
				return fmt.Errorf("the tap at %s lost %d packets", place, stats.Drops)
			}
		}
	}
	return nil
}

// wait sleeps until something reaches a place whose mark is missing.
func (n *node) wait(missing map[seen]string) error {
	var fds []unix.PollFd
	for _, place := range missing {
		for _, fd := range n.taps[place].fds {
			fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
		}
	}
	if _, err := unix.Poll(fds, 1000); err != nil && err != unix.EINTR {
		return err
	}
	return nil
}

// address is where marks for a place go.
func (n *node) address(place string) netip.Addr {
	switch place {
	case "host":
		return hostAddrs[0]
	case "outside":
		return Outside[0]
	}
	var slot int
	_, _ = fmt.Sscan(place, &slot)
	return slotAddrs(slot)[0]
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
