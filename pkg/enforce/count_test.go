//go:build linux

package enforce_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// A burst of connections is counted to the last one, at both ends.
func TestCountsABurstExactly(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		const burst = 25_000
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", open8080)
		a := n.start(nil)
		start := time.Now()
		n.burst(client, server, burst)
		t.Logf("%d connections in %v", burst, time.Since(start).Round(time.Millisecond))
		for _, dir := range []policy.Direction{policy.Egress, policy.Ingress} {
			var got flow.Flow
			t.Cleanup(func() { t.Logf("%s: %d told, %v", dir, got.Connections, a.status()) })
			await(t, "the burst to be told", func() bool {
				got = counted(a, client, server, dir, flow.Filter{})
				return got.Connections >= burst
			})
			if got.Connections != burst {
				t.Errorf("%s: %d connections, want %d", dir, got.Connections, burst)
			}
		}
		a.agreed()
	})
}

// burst makes TCP connections, each with its handshake and from a port of its
// own, and ends them by a reset. No port comes again soon: a reset may wait in
// the queue of a busy processor while the next SYN arrives by another one, and
// the server's kernel refuses a SYN to what it takes for a connection's end.
func (n *node) burst(from, to *pod, count int) {
	n.t.Helper()
	const workers, lowest, ports = 2, 10_000, 20_000
	first := n.burstPort
	n.burstPort += count / workers
	var g errgroup.Group
	for worker := range workers {
		address := netip.AddrPortFrom(to.addrs[0], uint16(20+worker))
		n.listenOnce(to, address.Port())
		g.Go(func() error {
			return from.Do(func() error {
				for i := range count / workers {
					if err := connectOnce(netip.AddrPortFrom(from.addrs[0], uint16(lowest+(first+i)%ports)), address); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	n.must(g.Wait())
}

func connectOnce(from, to netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := unix.Bind(fd, sockaddr(from)); err != nil {
		return err
	}
	return unix.Connect(fd, sockaddr(to))
}

// What is refused is counted by attempts; what is sent again only adds
// packets.
func TestCountsDeniedAttempts(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", shut8080)
		a := n.start(nil)
		const attempts = 100
		for i := range attempts {
			proto := []int{unix.IPPROTO_TCP, unix.IPPROTO_UDP}[i%2]
			if got := a.attempt(client, proto, client.addrs[i/2%2], netip.AddrPortFrom(server.addrs[i/2%2], serverPort)); got != denied {
				t.Fatalf("attempt %d: %s", i, got)
			}
		}
		// One that goes on: TCP sends its SYN again after a second, UDP what it
		// is told to.
		fd, err := open(client, unix.IPPROTO_TCP, netip.AddrPortFrom(client.addrs[0], 0), netip.AddrPortFrom(server.addrs[0], serverPort))
		n.must(err)
		defer unix.Close(fd)
		udp := n.udp(client, server, 1, serverPort)
		for range 10 {
			_, err := udp.client.Write([]byte("again"))
			n.must(err)
		}
		await(t, "the SYN to be sent again", func() bool { return sentAgain(t, fd) > 0 })
		var got flow.Flow
		var packets int64 // on a busy machine an attempt may take so long that its SYN is sent again, too
		await(t, "the packets to be told", func() bool {
			got = counted(a, client, server, policy.Ingress, flow.Filter{Action: policy.Deny})
			packets = attempts + a.again + 1 + sentAgain(t, fd) + 10
			return got.PacketsIn >= packets
		})
		if got.Connections != attempts+2 || got.PacketsIn != packets {
			t.Errorf("%d attempts, %d packets; want %d and %d", got.Connections, got.PacketsIn, attempts+2, packets)
		}
		if got := counted(a, client, server, policy.Egress, flow.Filter{}); got.Connections != 0 {
			t.Errorf("%d connections at the source, which did not refuse them and saw none", got.Connections)
		}
		a.agreed()
	})
}

// Flows are counted by workload; which pods of one were refused is told all the
// same, and what is allowed names nobody.
func TestTellsWhichPodsWereRefused(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		server := n.addPod("server")
		var clients []*pod
		for _, name := range []string{"client-1", "client-2", "client-3"} {
			p := n.join(name)
			n.manifest(p, nodeName, "labels: {app: client}\n  ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: client, uid: u, controller: true}]")
			clients = append(clients, p)
		}
		n.listenOnce(server, serverPort)
		n.policy("server", open8080)
		a := n.start(nil)
		if got := a.try(clients[2], server, 0, serverPort); got != connected {
			t.Fatalf("allowed: %s", got)
		}
		n.policy("server", shut8080)
		a.sync()
		for i, c := range []*pod{clients[0], clients[1], clients[0]} {
			if got := a.try(c, server, i%2, serverPort); got != denied {
				t.Fatalf("refused: %s", got)
			}
		}
		var got []flow.Flow
		await(t, "what was refused to be told", func() bool {
			got = a.list(flow.Filter{Action: policy.Deny})
			return len(got) == 1 && got[0].Connections == 3
		})
		var names []string
		for _, p := range got[0].Refused {
			names = append(names, p.Name)
		}
		if strings.Join(names, " ") != "client-1 client-2" || got[0].Source.Workload.Name != "client" {
			t.Errorf("refused pods of %s: %q", got[0].Source, names)
		}
		for _, f := range a.list(flow.Filter{Action: policy.Allow}) {
			if len(f.Refused) > 0 {
				t.Errorf("allowed, and %v refused", f.Refused)
			}
		}
		a.agreed()
	})
}

// A connection that netpol makes to test is marked by its exact source; what
// else the pod does is not.
func TestProbesAreMarkedBySource(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.listenOnce(server, serverPort)
		n.policy("server", open8080)
		a := n.start(nil)
		to := netip.AddrPortFrom(server.addrs[0], serverPort)
		forbidden := netip.AddrPortFrom(client.addrs[0], 9)
		n.policy("client", `{selector: app == 'client', types: [Ingress]}`)
		a.sync()

		const probes, others = 3, 4
		for i := range probes + others {
			source := a.port + 1
			if i < probes {
				for _, from := range []*pod{client, server} {
					_, err := a.RegisterProbe(context.Background(), &agentpb.RegisterProbeRequest{
						Protocol: unix.IPPROTO_TCP, SourceAddress: from.addrs[0].String(), SourcePort: 20000 + uint32(source), ValidMilliseconds: 30_000,
					})
					n.must(err)
					source++
				}
			}
			if got := a.attempt(client, unix.IPPROTO_TCP, client.addrs[0], to); got != connected {
				t.Fatalf("connection %d: %s", i, got)
			}
			if got := a.attempt(server, unix.IPPROTO_TCP, server.addrs[0], forbidden); got != denied {
				t.Fatalf("denied connection %d: %s", i, got)
			}
		}
		for _, c := range []struct {
			what     string
			from, to *pod
			dir      policy.Direction
		}{{"allowed", client, server, policy.Egress}, {"allowed", client, server, policy.Ingress}, {"denied", server, client, policy.Ingress}} {
			await(t, "all connections to be told", func() bool {
				return counted(a, c.from, c.to, c.dir, flow.Filter{IncludeProbes: true}).Connections == probes+others
			})
			if got := counted(a, c.from, c.to, c.dir, flow.Filter{}); got.Connections != others {
				t.Errorf("%s, %s: %d connections without probes, want %d", c.what, c.dir, got.Connections, others)
			}
		}
		a.agreed()
	})
}

// Sync returns only when what was written before is in the kernel.
func TestSyncIsInTheKernel(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.listenOnce(server, serverPort)
		n.policy("server", open8080)
		a := n.start(nil)
		for i := range 200 {
			for _, step := range []struct {
				spec string
				want answer
			}{{shut8080, denied}, {open8080, connected}} {
				n.policy("server", step.spec)
				a.sync()
				if got := a.try(client, server, i%2, serverPort); got != step.want {
					t.Fatalf("round %d: %s, want %s", i, got, step.want)
				}
			}
		}
		a.agreed()
	})
}
