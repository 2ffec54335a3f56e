//go:build linux

package enforce_test

import (
	"net"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// What a change forbade and another one allows again goes on at once, with the
// same ports, whoever speaks first.
func TestS11_AllowedAgainAtOnce(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n, a, links := cutLinks(t)
		for _, k := range links {
			if getsThrough(t, k.server, k.client) {
				t.Fatal("the connection is not cut")
			}
		}
		n.policy("server", open8080)
		a.sync()
		await(t, "the server's word", func() bool { return getsThrough(t, links[0].server, links[0].client) })
		await(t, "the client's word", func() bool { return getsThrough(t, links[1].client, links[1].server) })
		for _, k := range links {
			k.alive(t, "after")
		}
	})
}

// So does what an agent had cut that is gone by then.
func TestS11_AllowedAgainByTheNextAgent(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n, a, links := cutLinks(t)
		a.stop()
		n.policy("server", open8080)
		n.start(nil)
		for _, k := range links {
			await(t, "the server's word", func() bool { return getsThrough(t, k.server, k.client) })
			k.alive(t, "after")
		}
	})
}

// cutLinks are a client's connections to a server, one a family, that a change of its
// policy has cut.
func cutLinks(t *testing.T) (*node, *agent, []*link) {
	t.Helper()
	n := newNode(t)
	client, server := n.addPod("client"), n.addPod("server")
	n.policy("server", open8080)
	a := n.start(nil)
	links := []*link{n.udp(client, server, 0, serverPort), n.udp(client, server, 1, serverPort)}
	for _, k := range links {
		k.alive(t, "before")
	}
	awaitLive(a, int64(len(links)))
	n.policy("server", shut8080)
	a.sync()
	await(t, "the cuts", func() bool { return a.status().CutConnections == uint64(len(links)) })
	return n, a, links
}

// getsThrough tells whether what one end says reaches the other soon.
func getsThrough(t *testing.T, from, to net.Conn) bool {
	t.Helper()
	if _, err := from.Write([]byte("are you there?")); err != nil {
		t.Fatal(err)
	}
	_ = to.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	_, err := to.Read(make([]byte, 64))
	return err == nil
}
