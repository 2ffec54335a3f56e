//go:build linux

package enforce_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// A policy that is staged, changed or taken back changes what is pending for
// connections that are open already, and nothing of what is enforced.
func TestS29_StagingJudgesLiveConnectionsAgain(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		l := n.listen(server, serverPort)
		a := n.start(nil)
		tcp := n.tcp(client, netip.AddrPortFrom(server.addrs[0], serverPort), l)
		udp := n.udp(client, server, 1, serverPort)
		tcp.alive(t, "TCP before")
		udp.alive(t, "UDP before")
		awaitLive(a, 2)

		stage := func(spec string) {
			n.write("staged", fmt.Sprintf("apiVersion: projectcalico.org/v3\nkind: StagedNetworkPolicy\nmetadata: {name: server, namespace: %s}\nspec: %s\n", namespace, spec))
			a.sync()
		}
		expect := func(what string, denied int64) {
			t.Helper()
			await(t, what, func() bool { return livePending(a, policy.Deny) == denied && livePending(a, policy.Allow) == 2-denied })
			tcp.alive(t, what)
			udp.alive(t, what)
		}
		expect("nothing is staged", 0)
		stage("{selector: app == 'server', types: [Ingress]}")
		expect("all of it would be denied", 2)
		stage("{selector: app == 'server', ingress: [{action: Allow, protocol: TCP}]}")
		expect("UDP would be denied", 1)
		n.remove("staged")
		a.sync()
		expect("taken back", 0)
		if s := a.status(); s.CutConnections != 0 {
			t.Errorf("%d connections cut", s.CutConnections)
		}
		a.agreed()
	})
}

// livePending is how many connections are open that are allowed now, and for
// which the action given is pending, as the destination's end tells.
func livePending(a *agent, pending policy.Action) (live int64) {
	a.t.Helper()
	for _, f := range a.list(flow.Filter{}) {
		if f.Direction == policy.Ingress && f.Enforced.Action == policy.Allow && f.Pending.Action == pending {
			live += f.Live
		}
	}
	return live
}
