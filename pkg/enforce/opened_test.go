//go:build linux

package enforce_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// The agent tells which open connections a staged policy would cut, and since
// when they are open; of those older than itself only how long at least.
func TestS29_WouldCutTellsOfOpenConnections(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		l := n.listen(server, serverPort)
		before := time.Now().Add(-time.Second)
		old := n.tcp(client, netip.AddrPortFrom(server.addrs[0], serverPort), l)
		a := n.start(nil) // from now on the kernel follows connections
		old.alive(t, "TCP")
		awaitLive(a, 1)
		a.stop()
		again := time.Now()
		a = n.start(nil)
		awaitLive(a, 1)
		young := n.tcp(client, netip.AddrPortFrom(server.addrs[1], serverPort), l)
		question := n.udp(client, server, 1, serverPort)
		question.alive(t, "a question and its answer, which nobody would miss")
		ended := n.tcp(client, netip.AddrPortFrom(server.addrs[0], serverPort), l)
		ended.close() // its entry stays for a while
		ask := func(r *agentpb.WouldCutRequest) *agentpb.WouldCutReply {
			t.Helper()
			reply, err := a.WouldCut(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			return reply
		}
		stage := func(name, spec string) {
			n.write(name, fmt.Sprintf("apiVersion: projectcalico.org/v3\nkind: StagedNetworkPolicy\nmetadata: {name: %s, namespace: %s}\nspec: %s\n", name, namespace, spec))
			a.sync()
		}
		await(t, "both connections in use, and no others", func() bool { return ask(&agentpb.WouldCutRequest{}).GetOpen() == 2 })
		if r := ask(&agentpb.WouldCutRequest{}); len(r.GetConnections()) != 0 {
			t.Errorf("nothing is staged: %v", r)
		}
		stage("server", "{selector: app == 'server', types: [Ingress]}")
		r := ask(&agentpb.WouldCutRequest{})
		if len(r.GetConnections()) != 2 || r.GetMore() != 0 {
			t.Fatalf("all would be cut: %v", r)
		}
		for _, c := range r.GetConnections() {
			isOld := uint16(c.GetSourcePort()) == old.client.LocalAddr().(*net.TCPAddr).AddrPort().Port()
			if since := time.Unix(0, c.GetSinceNanos()); since.Before(before.Add(-time.Second)) || since.After(time.Now()) || c.GetAtLeast() && !isOld {
				t.Errorf("%v", c)
			}
			if since := time.Unix(0, c.GetSinceNanos()); !c.GetAtLeast() && isOld && since.After(again) {
				t.Errorf("it is older than the agent, which says that it is not: %v", c)
			}
			if c.GetSourcePort() == 0 || c.GetKey().GetDestPort() != serverPort || c.GetKey().GetSourceName() != "client" {
				t.Errorf("%v", c)
			}
		}
		if r := ask(&agentpb.WouldCutRequest{Limit: 1}); len(r.GetConnections()) != 1 || r.GetMore() != 1 {
			t.Errorf("one is listed, one more: %v", r)
		}
		if r := ask(&agentpb.WouldCutRequest{Namespaces: []string{"elsewhere"}}); len(r.GetConnections()) != 0 || r.GetOpen() != 0 {
			t.Errorf("of another namespace: %v", r)
		}
		stage("open", "{selector: app == 'server', ingress: [{action: Allow}]}")
		if one := ask(&agentpb.WouldCutRequest{Kind: "StagedNetworkPolicy", Namespace: namespace, Name: "open"}); len(one.GetConnections()) != 0 || one.GetOpen() != 2 {
			t.Errorf("one policy alone (S28): %v", one)
		}
		young.alive(t, "nothing was cut")
		old.alive(t, "nothing was cut")
	})
}
