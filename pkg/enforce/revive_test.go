//go:build linux

package enforce_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
)

// quick makes cuts and the first install's leniency last so short that a test
// can see what comes after them.
func quick(cut, loose time.Duration) func(*enforce.Options) {
	return func(o *enforce.Options) { enforce.SetTimes(o, cut, loose) }
}

// staysDead fails if a cut connection comes back to life by what its ends
// send again and again, once the cut set has forgotten it.
func staysDead(t *testing.T, n *node, k *link) {
	t.Helper()
	for _, end := range []struct {
		what     string
		from, to interface{ Write([]byte) (int, error) }
	}{{"server", k.server, k.client}, {"client", k.client, k.server}} {
		if _, err := end.from.Write([]byte("are you there?")); err != nil {
			t.Fatalf("%s: %v", end.what, err)
		}
	}
	await(t, "the cut set to forget", func() bool { return n.cutElements() == 0 })
	server, client := tcpInfo(t, k.server).Total_retrans, tcpInfo(t, k.client).Total_retrans
	await(t, "retransmissions of both ends", func() bool {
		s, c := tcpInfo(t, k.server), tcpInfo(t, k.client)
		return s.Total_retrans > server && c.Total_retrans > client || s.Unacked == 0 || c.Unacked == 0
	})
	silent(t, "server to client, later", k.client)
	silent(t, "client to server, later", k.server)
}

// On a fresh node connections that are older than the agent are picked up
// without a SYN, from either side. A cut one is none of those.
func TestS11_CutOutlastsLoosePickUp(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		l := n.listen(server, serverPort)
		n.policy("server", open8080)
		a := n.start(quick(300*time.Millisecond, 1200*time.Millisecond))
		k := n.tcp(client, netip.AddrPortFrom(server.addrs[0], serverPort), l)
		k.alive(t, "before")
		awaitLive(a, 1)
		n.policy("server", shut8080)
		a.sync()
		await(t, "the cut", func() bool { return a.status().CutConnections == 1 })
		staysDead(t, n, k)
		a.agreed()
	})
}

// The node's own side of a pod's connection is not asked by policies, so it
// can always speak first.
func TestS11_CutToHostStaysCut(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client := n.addPod("client")
		l := n.listen(nil, serverPort)
		n.policy("client", `{selector: app == 'client', types: [Egress], egress: [{action: Allow}]}`)
		a := n.start(quick(300*time.Millisecond, time.Millisecond))
		for family := range 2 {
			k := n.tcp(client, netip.AddrPortFrom(hostAddrs[family], serverPort), l)
			k.alive(t, "before")
			await(t, "the agent to know the connection", func() bool { return liveFrom(a, client) == 1 })
			n.policy("client", `{selector: app == 'client', types: [Egress]}`)
			a.sync()
			await(t, "the cut", func() bool { return a.status().CutConnections == uint64(family+1) })
			staysDead(t, n, k)
			k.close()
			n.policy("client", `{selector: app == 'client', types: [Egress], egress: [{action: Allow}]}`)
			a.sync()
		}
		a.agreed()
	})
}
