//go:build linux

package enforce_test

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/collect"
)

// A peer that terminates or vanishes is no change of policy: its connections
// end by themselves.
func TestS11_PeerThatLeavesIsNotCut(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addRemote("client"), n.addPod("server")
		l := n.listen(server, serverPort)
		n.policy("server", open8080)
		a := n.start(nil)
		k := n.tcp(client, netip.AddrPortFrom(server.addrs[0], serverPort), l)
		k.alive(t, "before")
		awaitLive(a, 1)
		for _, step := range []struct {
			what   string
			change func()
		}{
			{"terminating, without the label that lets it in", func() {
				n.manifest(client, "node-2", "deletionTimestamp: 2026-01-01T00:00:00Z\n  labels: {}")
			}},
			{"gone", func() { n.remove("pod-client") }},
		} {
			step.change()
			a.sync()
			// A connection that a change does forbid is cut by the same pass.
			n.cutBystander(a, server)
			k.alive(t, step.what)
			if got := a.try(client, server, 0, serverPort); got != denied {
				t.Errorf("%s: a new connection: %s, want %s", step.what, got, denied)
			}
		}
		a.agreed()
	})
}

// A peer that is told of later than it speaks keeps its connections, and they
// are judged by what it is from then on.
func TestS11_PeerKnownLater(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.wire("up-client", addresses("10.66.0.77", "fd66::77")), n.addPod("server")
		client.name = "client"
		l := n.listen(server, serverPort)
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, source: {nets: [10.66.0.0/16]}}]}`)
		a := n.start(nil)
		k := n.tcp(client, netip.AddrPortFrom(server.addrs[0], serverPort), l)
		k.alive(t, "before")
		awaitLive(a, 1)
		n.manifest(client, "node-2", "")
		a.sync()
		n.cutBystander(a, server)
		k.alive(t, "known")
		cuts := a.status().CutConnections
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'client'}}, {action: Allow}]}`)
		a.sync()
		await(t, "the cut", func() bool { return a.status().CutConnections == cuts+1 })
		k.dead(t, "forbidden by its label")
		a.agreed()
	})
}

// cutBystander makes a connection, forbids it, and waits until it is cut: then
// the pass after all earlier changes is over, too.
func (n *node) cutBystander(a *agent, to *pod) {
	n.t.Helper()
	name := "bystander"
	if n.bystander == nil {
		n.bystander = n.addPod(name)
		n.bystanderListener = n.listen(to, serverPort+1)
	}
	by := n.bystander
	allow := `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'bystander'}, destination: {ports: [8081]}}]}`
	n.policy(name, allow)
	cuts := a.sync().CutConnections
	k := n.tcp(by, netip.AddrPortFrom(to.addrs[0], serverPort+1), n.bystanderListener)
	await(n.t, "the agent to know the bystander", func() bool { return liveFrom(a, by) == 1 })
	n.remove(name)
	a.sync()
	await(n.t, "the bystander's cut", func() bool { return a.status().CutConnections == cuts+1 && liveFrom(a, by) == 0 })
	k.close()
}

// TCP that is in no known connection and does not begin with SYN is not picked
// up, except for a while after a first install, so that connections older than
// the agent live on.
func TestS11_TCPWithoutSYN(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		l := n.listen(server, serverPort)
		n.policy("server", open8080)
		to := netip.AddrPortFrom(server.addrs[0], serverPort)

		older := n.tcp(client, to, l)
		a := n.start(nil)
		older.alive(t, "older than the agent")
		forgotten := n.tcp(client, to, l)
		n.forget(forgotten)
		forgotten.alive(t, "forgotten by the kernel, at a first install")
		a.agreed()
		a.stop()

		a = n.start(quick(time.Second, time.Millisecond)) // the first install is soon over
		await(t, "TCP to begin with SYN again", n.strict)
		older.alive(t, "older than the second agent")
		known := n.tcp(client, to, l)
		known.alive(t, "known")
		n.forget(known)
		before := n.dropped("tcp-new-from", "") + n.dropped("tcp-new-to", "")
		known.dead(t, "forgotten by the kernel")
		if n.dropped("tcp-new-from", "")+n.dropped("tcp-new-to", "") == before {
			t.Error("dropped by another rule than the one for TCP without SYN")
		}
		older.alive(t, "another one")
		a.agreed()
	})
}

// forget deletes a connection's conntrack entry.
func (n *node) forget(k *link) {
	n.t.Helper()
	table, err := collect.OpenConntrack(collect.Options{})
	n.must(err)
	defer table.Close()
	port := netip.MustParseAddrPort(k.client.LocalAddr().String()).Port()
	var found []collect.Connection
	n.must(table.Dump(n.t.Context(), func(c *collect.Connection) {
		if c.Protocol == unix.IPPROTO_TCP && c.Original.SrcPort == port {
			found = append(found, *c)
		}
	}))
	if len(found) != 1 {
		n.t.Fatalf("%d conntrack entries, want 1", len(found))
	}
	if ok, err := table.Delete(&found[0]); !ok || err != nil {
		n.t.Fatalf("entry not deleted: %v", err)
	}
}
