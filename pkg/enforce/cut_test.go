//go:build linux

package enforce_test

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// Both ends of the tests' connections: client connects to server's port.
const (
	serverPort = 8080
	open8080   = `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'client'}}]}`
	shut8080   = `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'other'}}]}`
)

var serviceAddrs = addresses("10.96.0.10", "fd96::10")

// A change of policy cuts live connections, whoever speaks next, on either
// family, also where the destination is translated; what stays allowed lives.
func TestS11_ChangeCutsLiveTCP(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server, other := n.addPod("client"), n.addPod("server"), n.addPod("other")
		l := n.listen(server, serverPort)
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow}]}`)
		a := n.start(nil)

		links := map[string]*link{}
		for family := range 2 {
			direct := netip.AddrPortFrom(server.addrs[family], serverPort)
			service := netip.AddrPortFrom(serviceAddrs[family], 80)
			n.translate(service, direct)
			links[fmt.Sprint("server pushes ", family)] = n.tcp(client, direct, l)
			links[fmt.Sprint("idle, then client speaks ", family)] = n.tcp(client, direct, l)
			links[fmt.Sprint("translated ", family)] = n.tcp(client, service, l)
		}
		kept := n.tcp(other, netip.AddrPortFrom(server.addrs[0], serverPort), l)
		for what, k := range links {
			passes(t, what, k.server, k.client)
		}
		awaitLive(a, int64(len(links)+1))

		n.policy("server", shut8080)
		a.sync()
		await(t, "the cuts", func() bool { return a.status().CutConnections >= uint64(len(links)) })
		for what, k := range links {
			t.Run(what, func(t *testing.T) {
				t.Parallel()
				first, second := k.server, k.client
				if what[0] == 'i' {
					first, second = second, first
				}
				lost(t, "who speaks first", first, second)
				lost(t, "who speaks next", second, first)
			})
		}
		t.Cleanup(func() {
			kept.alive(t, "what stays allowed")
			if s := a.status(); s.CutConnections != uint64(len(links)) {
				t.Errorf("%d connections cut, want %d", s.CutConnections, len(links))
			}
			a.agreed()
		})
	})
}

// awaitLive waits until the agent knows of a number of open connections.
func awaitLive(a *agent, want int64) {
	a.t.Helper()
	await(a.t, fmt.Sprintf("%d open connections", want), func() bool { return liveAt(a) == want })
}

func TestS11_ChangeCutsLiveUDP(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", open8080)
		a := n.start(nil)
		for family := range 2 {
			k := n.udp(client, server, family, serverPort)
			k.alive(t, "before")
			awaitLive(a, int64(1))
			cuts := a.status().CutConnections
			n.policy("server", shut8080)
			a.sync()
			await(t, "the cut", func() bool { return a.status().CutConnections > cuts })
			for i, ends := range [][2]int{{0, 1}, {1, 0}} {
				before := n.cutPackets() + deniedPackets(a)
				from, to := k.client, k.server
				if ends[0] == 1 {
					from, to = to, from
				}
				if _, err := from.Write([]byte("are you there?")); err != nil {
					t.Fatal(err)
				}
				await(t, "the packet to be dropped", func() bool { return n.cutPackets()+deniedPackets(a) > before })
				silent(t, fmt.Sprint("UDP, direction ", i), to)
			}
			k.close()
			awaitLive(a, 0)
			n.policy("server", open8080)
			a.sync()
		}
		a.agreed()
	})
}

// With --established=keep a change judges only what starts after it.
func TestS11_KeepEstablishedKeeps(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		l := n.listen(server, serverPort)
		n.policy("server", open8080)
		a := n.start(func(o *enforce.Options) { o.KeepEstablished = true })
		to := netip.AddrPortFrom(server.addrs[0], serverPort)
		tcp, udp := n.tcp(client, to, l), n.udp(client, server, 1, serverPort)
		tcp.alive(t, "before")
		udp.alive(t, "before")
		awaitLive(a, 2)
		n.policy("server", shut8080)
		a.sync()
		if got := a.try(client, server, 0, serverPort); got != denied {
			t.Errorf("a new connection: %s, want %s", got, denied)
		}
		// S29: what is reported of them changes nevertheless.
		await(t, "the live connections to be judged again", func() bool { return liveDenied(a) == 2 })
		tcp.alive(t, "TCP after the change")
		udp.alive(t, "UDP after the change")
		if s := a.status(); s.CutConnections != 0 {
			t.Errorf("%d connections cut", s.CutConnections)
		}
	})
}

// A client that takes the port of a connection that was cut once more is not
// left without a word: it is refused by the policy, and the agent tells.
func TestS11_NewConnectionFromTheSamePortIsJudged(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.listen(server, serverPort)
		n.policy("server", open8080)
		a := n.start(nil)
		for family := range 2 {
			if got := a.try(client, server, family, serverPort); got != connected {
				t.Fatalf("before: %s", got)
			}
			cuts := a.status().CutConnections
			n.policy("server", shut8080)
			a.sync()
			await(t, "the cut", func() bool { return a.status().CutConnections > cuts })
			a.port--
			if got := a.try(client, server, family, serverPort); got != denied {
				t.Errorf("from the same port again: %s, want %s", got, denied)
			}
			n.policy("server", open8080)
			a.sync()
		}
		a.agreed()
	})
}

// A port comes round again: what was refused of it before says nothing about
// the probe that has it now, and a datagram of that probe is told of although
// there was one like it.
func TestProbeFromAPortThatWasRefusedBefore(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", shut8080)
		a := n.start(nil)
		to := netip.AddrPortFrom(server.addrs[0], serverPort)
		for range 2 {
			a.port = 100
			source := &agentpb.RegisterProbeRequest{
				Protocol: unix.IPPROTO_UDP, SourceAddress: client.addrs[0].String(), SourcePort: 20101, ValidMilliseconds: 30000,
			}
			if _, err := a.RegisterProbe(t.Context(), source); err != nil {
				t.Fatal(err)
			}
			r, err := a.Denied(t.Context(), &agentpb.Tuple{
				Protocol: source.Protocol, SourceAddress: source.SourceAddress, SourcePort: source.SourcePort,
				DestinationAddress: to.Addr().String(), DestinationPort: uint32(to.Port()),
			})
			if err != nil || r.Denied {
				t.Fatalf("it is refused before it began: %v, %v", r, err)
			}
			if got := a.attempt(client, unix.IPPROTO_UDP, client.addrs[0], to); got != denied {
				t.Errorf("UDP: %s, want %s", got, denied)
			}
		}
	})
}
