//go:build linux

package enforce_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
)

// older opens connections of which the kernel does not know: no rule asks for
// their state yet.
func (n *node) older(client, server *pod) (links []*link) {
	n.t.Helper()
	l := n.listen(server, serverPort)
	for family := range 2 {
		links = append(links, n.tcp(client, netip.AddrPortFrom(server.addrs[family], serverPort), l))
	}
	return links
}

// strict says whether TCP must begin with SYN.
func (n *node) strict() bool {
	n.t.Helper()
	chains, err := n.nft().ListChains()
	n.must(err)
	for _, c := range chains {
		if c.Table.Name == ourTable.Name && strings.HasPrefix(c.Name, "tcp-new-to") {
			return true
		}
	}
	return false
}

// Connections that are older than the first rules live on, however long the
// agent had to wait before it knew what to enforce.
func TestS11_OlderConnectionsOutliveALateStart(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		n.podNets("10.65.0.0/24", "fd65::/64")
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", open8080)
		links := n.older(client, server)
		const loose = 2 * time.Second
		api := n.apiSource()
		go func() {
			time.Sleep(loose + loose/4)
			api.tell()
		}()
		n.start(func(o *enforce.Options) {
			from(api)(o)
			enforce.SetTimes(o, loose, loose)
		})
		for _, k := range links {
			k.alive(t, "after a late start")
		}
		await(t, "TCP to begin with SYN again", n.strict)
		for _, k := range links {
			k.alive(t, "later")
		}
	})
}

// So do they if the first agent ends before they have said anything; an agent
// that ended later does not make the next one lenient.
func TestS11_OlderConnectionsOutliveTheFirstAgent(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", open8080)
		links := n.older(client, server)
		n.start(nil).stop()
		a := n.start(quick(time.Second, time.Minute))
		for _, k := range links {
			k.alive(t, "with the second agent")
		}
		a.stop()
		a = n.start(quick(time.Second, time.Millisecond))
		await(t, "TCP to begin with SYN again", n.strict)
		for _, k := range links {
			k.alive(t, "later")
		}
		a.stop()
		n.start(nil)
		if !n.strict() {
			t.Error("a later agent picks up TCP without SYN")
		}
	})
}
