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

// ping sends echo requests from a raw socket (an unprivileged one would need a
// sysctl of the pod's) and succeeds when one is answered. The identifier is
// what the agent knows it by, where others have a source port.
func (a *attempt) ping(ctx context.Context) error {
	network := "ip4:icmp"
	if a.Source.Is6() {
		network = "ip6:ipv6-icmp"
	}
	conn, err := new(net.ListenConfig).ListenPacket(ctx, network, a.Source.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := a.register(ctx, netip.AddrPortFrom(a.Source, a.id)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	defer stop()
	to := &net.IPAddr{IP: a.Destination.Addr().AsSlice()}
	for seq := range datagramTries {
		if err := ctx.Err(); err != nil {
			return err
		}
		request, err := a.echo(seq)
		if err != nil {
			return err
		}
		if _, err := conn.WriteTo(request, to); err != nil {
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
		ip, ok := from.(*net.IPAddr)
		if !ok {
			continue
		}
		if addr, ok := netip.AddrFromSlice(ip.IP); !ok || addr.Unmap() != a.Destination.Addr().Unmap() {
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
