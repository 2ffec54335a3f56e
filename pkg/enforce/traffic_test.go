//go:build linux

package enforce_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// in runs a step in a pod's namespace, or in the node's for nil.
func in(p *pod, fn func() error) error {
	if p == nil {
		return fn()
	}
	return p.Do(fn)
}

func ownAddrs(p *pod) []netip.Addr {
	if p == nil {
		return hostAddrs
	}
	return p.addrs
}

// listen listens to TCP on a port of a pod, on both families, until the test
// ends. Connections are left to whoever accepts; the kernel answers them.
func (n *node) listen(p *pod, port uint16) net.Listener {
	n.t.Helper()
	var l net.Listener
	n.must(in(p, func() (err error) {
		l, err = net.Listen("tcp", fmt.Sprintf(":%d", port))
		return err
	}))
	n.t.Cleanup(func() { _ = l.Close() })
	return l
}

// link is a connection whose two ends the test holds.
type link struct {
	client, server net.Conn
}

// close ends both ends at once and without a farewell.
func (l *link) close() {
	for _, c := range []net.Conn{l.client, l.server} {
		if c, ok := c.(*net.TCPConn); ok {
			_ = c.SetLinger(0)
		}
		_ = c.Close()
	}
}

// tcp connects a pod to a listener by the address given.
func (n *node) tcp(from *pod, to netip.AddrPort, l net.Listener) *link {
	n.t.Helper()
	k := &link{}
	n.must(in(from, func() (err error) {
		k.client, err = net.DialTimeout("tcp", to.String(), patience)
		return err
	}))
	var err error
	k.server, err = l.Accept()
	n.must(err)
	n.t.Cleanup(k.close)
	return k
}

// udp joins two pods by connected sockets; nothing is sent yet.
func (n *node) udp(from, to *pod, family int, port uint16) *link {
	n.t.Helper()
	k := &link{}
	server := netip.AddrPortFrom(ownAddrs(to)[family], port)
	n.must(in(from, func() (err error) {
		k.client, err = net.Dial("udp", server.String())
		return err
	}))
	n.must(in(to, func() (err error) {
		k.server, err = net.DialUDP("udp", net.UDPAddrFromAddrPort(server), k.client.LocalAddr().(*net.UDPAddr))
		return err
	}))
	n.t.Cleanup(k.close)
	return k
}

// passes fails unless what one end says is heard by the other.
func passes(t testing.TB, what string, from, to net.Conn) {
	t.Helper()
	word := fmt.Sprintf("%016x", time.Now().UnixNano())
	if _, err := io.WriteString(from, word); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	_ = to.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, len(word))
	_, packets := to.(*net.UDPConn)
	for {
		n, err := io.ReadAtLeast(to, buf, 1)
		if err == nil && !packets {
			_, err = io.ReadFull(to, buf[n:])
			n = len(buf)
		}
		if err == nil && string(buf[:n]) == word {
			return
		}
		if err != nil || !packets { // a packet of before may have come too late for who waited for it
			t.Fatalf("%s: heard %q, %v; want %q", what, buf[:n], err, word)
		}
	}
}

// alive fails unless both ends hear each other.
func (l *link) alive(t testing.TB, what string) {
	t.Helper()
	passes(t, what+": client to server", l.client, l.server)
	passes(t, what+": server to client", l.server, l.client)
}

// silent fails if an end has anything to read now.
func silent(t testing.TB, what string, c net.Conn) {
	t.Helper()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var rerr error
	err = raw.Control(func(fd uintptr) {
		n, _, rerr = unix.Recvfrom(int(fd), make([]byte, 64), unix.MSG_DONTWAIT|unix.MSG_PEEK)
	})
	if err != nil || rerr != unix.EAGAIN {
		t.Errorf("%s: %d bytes arrived (%v)", what, n, errors.Join(err, rerr))
	}
}

// lost says something on a TCP connection, waits until the kernel has sent it
// twice without an answer, and fails if the other end has heard it.
func lost(t testing.TB, what string, from, to net.Conn) {
	t.Helper()
	before := tcpInfo(t, from)
	if _, err := from.Write([]byte("are you there?")); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	await(t, what+": a retransmission", func() bool {
		now := tcpInfo(t, from)
		return now.Total_retrans > before.Total_retrans && now.Unacked > 0
	})
	silent(t, what, to)
}

func tcpInfo(t testing.TB, c net.Conn) (info *unix.TCPInfo) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err == nil {
		var ierr error
		err = raw.Control(func(fd uintptr) {
			info, ierr = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO)
		})
		err = errors.Join(err, ierr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// dead fails unless neither end hears the other any more.
func (l *link) dead(t testing.TB, what string) {
	t.Helper()
	lost(t, what+": server to client", l.server, l.client)
	lost(t, what+": client to server", l.client, l.server)
}

// answer is what became of a connection attempt.
type answer string

const (
	connected answer = "connected"
	closed    answer = "closed" // answered, nobody listens
	denied    answer = "denied" // the agent saw the kernel refuse it
	nothing   answer = "no answer"
)

// attempt tries to connect from an address until it is known what became of it: the agent,
// unless it is nil, is asked whether the kernel refused it.
func (a *agent) attempt(from *pod, proto int, addr netip.Addr, to netip.AddrPort) answer {
	a.t.Helper()
	// A port of its own, or the answer might be about an earlier attempt.
	a.port++
	source := netip.AddrPortFrom(addr, 20000+a.port)
	fd, err := open(from, proto, source, to)
	if errors.Is(err, unix.ECONNREFUSED) {
		return closed
	}
	if err != nil {
		a.t.Fatalf("from %s to %s: %v", source, to, err)
	}
	defer unix.Close(fd)
	tuple := &agentpb.Tuple{
		Protocol: uint32(proto), SourceAddress: source.Addr().String(), SourcePort: uint32(source.Port()),
		DestinationAddress: to.Addr().String(), DestinationPort: uint32(to.Port()),
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if proto == unix.IPPROTO_UDP {
			time.Sleep(time.Millisecond) // it is always "connected"
		} else if done, err := waitConnected(fd, 2); done {
			if err == nil {
				return connected
			}
			return closed
		}
		r, err := a.Denied(context.Background(), tuple)
		if err != nil {
			a.t.Fatal(err)
		}
		if r.Denied {
			if proto == unix.IPPROTO_TCP {
				a.again += sentAgain(a.t, fd)
			}
			return denied
		}
	}
	return nothing
}

// sentAgain is how many packets of a TCP connection were sent once more.
func sentAgain(t testing.TB, fd int) int64 {
	t.Helper()
	info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
	if err != nil {
		t.Fatal(err)
	}
	return int64(info.Total_retrans)
}

// try attempts TCP from a pod's own address.
func (a *agent) try(from, to *pod, family int, port uint16) answer {
	a.t.Helper()
	return a.attempt(from, unix.IPPROTO_TCP, ownAddrs(from)[family], netip.AddrPortFrom(ownAddrs(to)[family], port))
}

// open starts a connection and does not wait for it. The source may be an
// address that the pod does not have.
func open(from *pod, proto int, source, to netip.AddrPort) (fd int, err error) {
	err = in(from, func() (err error) {
		fd, err = openHere(proto, source, to)
		return err
	})
	return fd, err
}

// openHere is open in the namespace of the calling thread.
func openHere(proto int, source, to netip.AddrPort) (int, error) {
	kind, family, level, transparent := unix.SOCK_STREAM, unix.AF_INET, unix.SOL_IP, unix.IP_TRANSPARENT
	if proto == unix.IPPROTO_UDP {
		kind = unix.SOCK_DGRAM
	}
	if to.Addr().Is6() {
		family, level, transparent = unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	_ = unix.SetsockoptInt(fd, level, transparent, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if proto != unix.IPPROTO_UDP { // its port is free as soon as it is closed
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	at := sockaddr(source)
	if at, ok := at.(*unix.SockaddrInet6); ok && source.Addr().IsLinkLocalUnicast() {
		if link, err := net.InterfaceByName("eth0"); err == nil {
			at.ZoneId = uint32(link.Index)
		}
	}
	if err = unix.Bind(fd, at); err == nil {
		err = unix.Connect(fd, sockaddr(to))
	}
	if err == nil && proto == unix.IPPROTO_UDP {
		_, err = unix.Write(fd, []byte("netpol"))
	}
	if err != nil && err != unix.EINPROGRESS {
		_ = unix.Close(fd)
		return 0, os.NewSyscallError("connect", err)
	}
	return fd, nil
}

// waitConnected waits some milliseconds for a connection that is under way.
func waitConnected(fd, milliseconds int) (done bool, err error) {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds, milliseconds)
	for err == unix.EINTR {
		n, err = unix.Poll(fds, milliseconds)
	}
	if n == 0 || err != nil {
		return false, err
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return true, err
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: a.Addr().As4(), Port: int(a.Port())}
	}
	return &unix.SockaddrInet6{Addr: a.Addr().As16(), Port: int(a.Port())}
}
