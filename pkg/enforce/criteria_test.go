//go:build linux

package enforce_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// ICMP is judged by type and code, counted as connections, refused as attempts,
// and cut when it becomes forbidden; kernel and model agree on all of it.
func TestS22_ICMPByType(t *testing.T) {
	const allowing = `{selector: app == 'server', types: [Ingress], ingress: [
		{action: Allow, protocol: ICMP, icmp: {type: 8}},
		{action: Allow, protocol: ICMPv6, icmp: {type: 128, code: 0}}]}`
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", allowing)
		a := n.start(nil)
		for family, proto := range []policy.Protocol{policy.ICMP, policy.ICMPv6} {
			n.policy("server", allowing)
			a.sync()
			p := n.pinger(client, server, family, uint16(100+family))
			p.answered(t)
			is := flow.Filter{Protocol: proto, Action: policy.Allow}
			await(t, "the ping to be told", func() bool {
				got := counted(a, client, server, policy.Ingress, is)
				return got.Connections == 1 && got.Live == 1
			})
			for _, f := range a.list(is) {
				if f.Direction == policy.Ingress && (f.Port != policy.EchoRequest(proto) || f.Enforced.Policy.Name != "server" || f.Enforced.Rule != family) {
					t.Errorf("type %d allowed by %+v", f.Port, f.Enforced)
				}
			}

			cuts := a.status().CutConnections
			n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [
				{action: Allow, protocol: ICMP, icmp: {type: 13}}, {action: Allow, protocol: ICMPv6, icmp: {type: 128, code: 7}}]}`)
			a.sync()
			await(t, "the ping to be cut", func() bool { return a.status().CutConnections > cuts })
			p.send(t)
			await(t, "the ping to be refused", func() bool { return a.denies(p.tuple) })
			p.silent(t)
			is.Action = policy.Deny
			if got := counted(a, client, server, policy.Ingress, is); got.Connections != 1 {
				t.Errorf("%s: %d attempts told, want 1", proto, got.Connections)
			}
		}
		a.agreed()
	})
}

// Where a rule looks at source ports, connections that are alike but for theirs
// are told apart.
func TestS21_SourcePorts(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.listenOnce(server, serverPort)
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [
			{action: Allow, protocol: TCP, source: {ports: ["20001:20010"]}},
			{action: Allow, protocol: TCP, source: {notPorts: ["20001:20020"]}}]}`)
		a := n.start(nil)
		for range 30 {
			want := connected
			if a.port >= 10 && a.port < 20 {
				want = denied
			}
			if got := a.try(client, server, int(a.port%2), serverPort); got != want {
				t.Errorf("from port %d: %s, want %s", 20000+a.port, got, want)
			}
		}
		await(t, "all to be told", func() bool {
			return counted(a, client, server, policy.Ingress, flow.Filter{}).Connections == 30
		})
		byRule := map[int]int64{}
		for _, f := range a.list(flow.Filter{}) {
			if f.Direction == policy.Ingress {
				byRule[f.Enforced.Rule] += f.Connections
			}
		}
		if byRule[0] != 10 || byRule[1] != 10 {
			t.Errorf("connections by rule: %v, want 10 by each and 10 by none", byRule)
		}
		a.agreed()
	})
}

// denies asks the agent whether it refused what comes from a source.
func (a *agent) denies(tuple *agentpb.Tuple) bool {
	a.t.Helper()
	r, err := a.Denied(context.Background(), tuple)
	if err != nil {
		a.t.Fatal(err)
	}
	return r.Denied
}

// pinger sends echo requests.
type pinger struct {
	fd    int
	echo  byte
	tuple *agentpb.Tuple
}

func (n *node) pinger(from, to *pod, family int, id uint16) *pinger {
	n.t.Helper()
	p := &pinger{echo: 8}
	domain, proto := unix.AF_INET, unix.IPPROTO_ICMP
	if family == 1 {
		domain, proto, p.echo = unix.AF_INET6, unix.IPPROTO_ICMPV6, 128
	}
	p.tuple = &agentpb.Tuple{
		Protocol: uint32(proto), SourceAddress: from.addrs[family].String(), SourcePort: uint32(id),
		DestinationAddress: to.addrs[family].String(),
	}
	n.must(from.Do(func() (err error) {
		if err := os.WriteFile("/proc/sys/net/ipv4/ping_group_range", []byte("0 0"), 0); err != nil {
			return err
		}
		if p.fd, err = unix.Socket(domain, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, proto); err != nil {
			return fmt.Errorf("ping socket: %w", err)
		}
		if err := unix.Bind(p.fd, sockaddr(netip.AddrPortFrom(from.addrs[family], id))); err != nil {
			return err
		}
		return unix.Connect(p.fd, sockaddr(netip.AddrPortFrom(to.addrs[family], 0)))
	}))
	n.t.Cleanup(func() { _ = unix.Close(p.fd) })
	return p
}

func (p *pinger) send(t *testing.T) {
	t.Helper()
	if _, err := unix.Write(p.fd, []byte{p.echo, 0, 0, 0, 0, 0, 0, 1}); err != nil {
		t.Fatal(err)
	}
}

// answered pings and fails unless there is an answer.
func (p *pinger) answered(t *testing.T) {
	t.Helper()
	p.send(t)
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, int(patience/time.Millisecond))
	for err == unix.EINTR {
		n, err = unix.Poll(fds, int(patience/time.Millisecond))
	}
	if n == 1 {
		_, err = unix.Read(p.fd, make([]byte, 64))
	}
	if n != 1 || err != nil {
		t.Fatalf("no answer to a ping: %v", err)
	}
}

// silent fails if an answer has come.
func (p *pinger) silent(t *testing.T) {
	t.Helper()
	if n, _, err := unix.Recvfrom(p.fd, make([]byte, 64), unix.MSG_DONTWAIT); err != unix.EAGAIN {
		t.Errorf("%d bytes answered (%v)", n, err)
	}
}
