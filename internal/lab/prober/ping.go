package prober

import (
	"context"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Numbers of protocols, for parsing what a raw socket gives.
const (
	numberICMP   = 1
	numberICMPv6 = 58
)

// echoSocket is a socket for echo requests and how they are addressed there.
type echoSocket struct {
	net.PacketConn
	to net.Addr
}

// openEcho opens a raw socket, since the unprivileged one needs a sysctl of the
// pod's; without the right to that (CAP_NET_RAW) it tries the other. There the
// kernel chooses the identifier, and tells it as the socket's port.
func (a *attempt) openEcho(ctx context.Context) (*echoSocket, error) {
	raw, datagram := "ip4:icmp", "udp4"
	if a.Source.Is6() {
		raw, datagram = "ip6:ipv6-icmp", "udp6"
	}
	conn, err := new(net.ListenConfig).ListenPacket(ctx, raw, a.Source.String())
	if err == nil {
		return &echoSocket{conn, &net.IPAddr{IP: a.Destination.Addr().AsSlice()}}, nil
	}
	unprivileged, uerr := icmp.ListenPacket(datagram, a.Source.String())
	if uerr != nil {
		return nil, err // what most users can do something about
	}
	own, ok := unprivileged.LocalAddr().(*net.UDPAddr)
	if !ok {
		_ = unprivileged.Close()
		return nil, err
	}
	a.id = uint16(own.Port)
	return &echoSocket{unprivileged, &net.UDPAddr{IP: a.Destination.Addr().AsSlice()}}, nil
}

// ping sends echo requests and succeeds when one is answered. The identifier is
// what the agent knows it by, where others have a source port.
func (a *attempt) ping(ctx context.Context) error {
	conn, err := a.openEcho(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := a.register(ctx, netip.AddrPortFrom(a.Source, a.id)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	for seq := range datagramTries {
		if err := ctx.Err(); err != nil {
			return err
		}
		request, err := a.echo(seq)
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(request, conn.to); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(a.timeout / datagramTries)); err != nil {
			return err
		}
		if err = a.awaitReply(conn); err == nil || !isTimeout(err) {
			return err
		}
	}
	return context.DeadlineExceeded
}

// echo is a request. The kernel fills in the checksum of ICMPv6.
func (a *attempt) echo(seq int) ([]byte, error) {
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: int(a.id), Seq: seq, Data: []byte("netpol probe")}}
	if a.Source.Is6() {
		m.Type = ipv6.ICMPTypeEchoRequest
	}
	return m.Marshal(nil)
}

// awaitReply reads until the answer to one of our requests comes: a raw socket
// gets everybody's messages.
func (a *attempt) awaitReply(conn net.PacketConn) error {
	buf := make([]byte, 2048)
	protocol, reply := numberICMP, icmp.Type(ipv4.ICMPTypeEchoReply)
	if a.Source.Is6() {
		protocol, reply = numberICMPv6, ipv6.ICMPTypeEchoReply
	}
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		if addr, ok := netip.AddrFromSlice(ipOf(from)); !ok || addr.Unmap() != a.Destination.Addr().Unmap() {
			continue
		}
		m, err := icmp.ParseMessage(protocol, buf[:n])
		if err != nil || m.Type != reply {
			continue
		}
		if echo, ok := m.Body.(*icmp.Echo); ok && echo.ID == int(a.id) {
			return nil
		}
	}
}

func ipOf(a net.Addr) net.IP {
	switch a := a.(type) {
	case *net.IPAddr:
		return a.IP
	case *net.UDPAddr:
		return a.IP
	}
	return nil
}
