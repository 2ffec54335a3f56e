//go:build linux

package enforce_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// What a CNI plugin told the agent before counts for the next one, too: the pod
// runs, and the API server may not know of its address yet (S31).
func TestS31_AwaitedPodOutlivesTheAgent(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		n.podNets("10.65.0.0/24", "fd65::/64")
		server := n.addPod("server")
		l := n.listen(server, serverPort)
		n.policy("young", `{selector: app == 'young', types: [Egress], egress: [{action: Allow, protocol: TCP, destination: {ports: [8080]}}]}`)
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'young'}}]}`)
		young, back, gone := n.wireAs("calinew", "young"), n.wireAs("caliback", "back"), n.wireAs("caligone", "gone")
		for _, p := range []*pod{young, gone, back} {
			n.write("pod-"+p.name, fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s, labels: {app: young}}\nspec: {nodeName: %s}\nstatus: {phase: Pending}\n", p.name, namespace, nodeName))
		}
		api := n.apiSource()
		api.tell()
		a := n.start(from(api))
		for _, p := range []*pod{young, gone, back} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			_, err := a.AwaitPod(ctx, &agentpb.AwaitPodRequest{Namespace: namespace, Name: p.name, Container: "c-" + p.name,
				Addresses: []string{p.addrs[0].String(), p.addrs[1].String()}})
			cancel()
			n.must(err)
		}
		_, err := a.ForgetPod(t.Context(), &agentpb.ForgetPodRequest{Container: "c-back"})
		n.must(err)
		live := []*link{}
		for family := range 2 {
			live = append(live, n.tcp(young, netip.AddrPortFrom(server.addrs[family], serverPort), l))
		}
		check := func(when string) {
			t.Helper()
			for family, k := range live {
				k.alive(t, when)
				if got := a.try(young, server, family, serverPort); got != connected {
					t.Errorf("%s: what it may, family %d: %s, want %s", when, family, got, connected)
				}
				if got := a.try(young, server, family, forbiddenPort); got != denied {
					t.Errorf("%s: what it may not, family %d: %s, want %s", when, family, got, denied)
				}
			}
		}
		check("with the agent that was told")
		a.stop()
		// Nobody hears that this one ends.
		link, err := netlink.LinkByName(gone.iface)
		n.must(err)
		n.must(netlink.LinkDel(link))
		a = n.start(from(api))
		check("with the next one")
		n.refusedAs("drop-unknown", "one that was taken back before", back, back.addrs[0], server.addrs[0])
		again := n.wire("calilate", gone.addrs)
		n.refusedAs("drop-unknown", "one whose interface was gone", again, again.addrs[0], server.addrs[0])
		if s := a.status(); s.CutConnections != 0 {
			t.Errorf("%d connections cut", s.CutConnections)
		}
		n.manifest(young, nodeName, "")
		n.await(a, &agentpb.Written{Kind: "Pod", Namespace: namespace, Name: "young", Version: api.tell()})
		check("when the API server knows it")
		a.agreed()
	})
}
