//go:build linux

package enforce_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/flow"
)

// masquerade gives what goes to an address the node's address as its source,
// as kube-proxy and CNIs do on the way out.
func (n *node) masquerade(to netip.Addr) {
	n.t.Helper()
	conn := n.nft()
	table := conn.AddTable(&nftables.Table{Name: "masquerade", Family: nftables.TableFamilyINet})
	post := conn.AddChain(&nftables.Chain{
		Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: post, Exprs: append(address(to, false), &expr.Masq{})})
	n.must(conn.Flush())
}

// What comes by a port of the node, or a host port, is judged by who sends it
// and by the pod's port, whatever is translated before and after; so does a
// pod that dials its own node.
func TestS34_NodePortsAndMasquerade(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		outside := n.uplink("eth0")
		other := addresses("192.0.2.10", "2001:db8::10")
		client, server := n.wireAs("calic", "client"), n.wireAs("calis", "server")
		n.manifest(client, nodeName, "")
		n.manifest(server, nodeName, "")
		n.podNets("10.65.0.0/24", "fd65::/64")
		n.listen(server, serverPort)
		for family, a := range other {
			n.must(outside.Do(func() error { return addAddr("eth0", netip.PrefixFrom(a, a.BitLen())) }))
			n.translate(netip.AddrPortFrom(upAddrs[family], 30080), netip.AddrPortFrom(server.addrs[family], serverPort))
			n.masquerade(server.addrs[family])
		}
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {nets: [192.0.2.9/32]}, destination: {ports: [8080]}}, {action: Allow, protocol: TCP, source: {nets: ["2001:db8::9/128"]}, destination: {ports: [8080]}}]}`)
		api := n.apiSource()
		api.tell()
		a := n.start(from(api))
		dial := func(from *pod, source netip.Addr, family int) answer {
			return a.attempt(from, unix.IPPROTO_TCP, source, netip.AddrPortFrom(upAddrs[family], 30080))
		}
		for family := range 2 {
			if got := dial(outside, outside.addrs[family], family); got != connected {
				t.Errorf("from the address that may, family %d: %s, want %s", family, got, connected)
			}
			if got := dial(outside, other[family], family); got != denied {
				t.Errorf("from another, family %d: %s, want %s", family, got, denied)
			}
			if got := dial(client, client.addrs[family], family); got != denied {
				t.Errorf("from a pod of this node, family %d: %s, want %s", family, got, denied)
			}
		}
		for _, f := range a.list(flow.Filter{Port: serverPort}) {
			if f.Source.Kind == flow.PeerHost {
				t.Errorf("the flow %+v has the node as its source", f.Key)
			}
		}
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, source: {selector: app == 'client'}}]}`)
		api.tell()
		a.sync()
		for family := range 2 {
			if got := dial(client, client.addrs[family], family); got != connected {
				t.Errorf("from a pod that may, family %d: %s, want %s", family, got, connected)
			}
			if got := dial(outside, outside.addrs[family], family); got != denied {
				t.Errorf("from the address that might before, family %d: %s, want %s", family, got, denied)
			}
		}
		a.agreed()
	})
}

// A host-network pod is the node: no policy selects it, and it reaches pods as
// the node does. A pod with one address in a cluster of two families has no
// other one.
func TestS12_HostNetworkAndSingleFamily(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		outside := n.uplink("eth0")
		client, server := n.wireAs("calic", "client"), n.wireAs("calis", "server")
		n.podNets("10.65.0.0/24", "fd65::/64")
		n.manifest(client, nodeName, "")
		n.write("pod-server", fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: server, namespace: %s, labels: {app: server}}\nspec: {nodeName: %s}\nstatus: {phase: Running, podIP: %s, podIPs: [{ip: %[3]s}]}\n",
			namespace, nodeName, server.addrs[0]))
		n.write("pod-proxy", fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: proxy, namespace: %s, labels: {app: proxy}}\nspec: {nodeName: %s, hostNetwork: true}\nstatus: {phase: Running, podIP: %s, podIPs: [{ip: %[3]s}, {ip: \"%s\"}]}\n",
			namespace, nodeName, upAddrs[0], upAddrs[1]))
		n.write("pod-starting", fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: starting, namespace: %s}\nspec: {nodeName: %s}\nstatus: {phase: Pending}\n", namespace, nodeName))
		for _, p := range []*pod{nil, client, server, outside} {
			n.listen(p, serverPort)
		}
		n.policy("deny", denyAll)
		api := n.apiSource()
		api.tell()
		a := n.start(from(api))
		if s := a.sync(); s.Endpoints != 3 { // client, server, starting
			t.Errorf("%d endpoints, want 3", s.Endpoints)
		}
		for family := range 2 {
			if got := a.try(outside, nil, family, serverPort); got != connected {
				t.Errorf("to a host-network pod, family %d: %s, want %s", family, got, connected)
			}
			if got := a.try(nil, outside, family, serverPort); got != connected {
				t.Errorf("from a host-network pod, family %d: %s, want %s", family, got, connected)
			}
			if got := a.try(nil, client, family, serverPort); got != connected {
				t.Errorf("from a host-network pod to a pod, family %d: %s, want %s", family, got, connected)
			}
			if got := a.try(client, nil, family, serverPort); got != denied {
				t.Errorf("from a pod to a host-network pod, family %d: %s, want %s", family, got, denied)
			}
		}
		n.remove("deny")
		api.tell()
		a.sync()
		if got := a.try(server, outside, 0, serverPort); got != connected {
			t.Errorf("a pod of IPv4: %s, want %s", got, connected)
		}
		n.refusedAs("drop-spoofed", "an address that the pod does not have", server, server.addrs[1], outside.addrs[1])
		n.refusedAs("drop-unknown", "to an address that the pod does not have", outside, outside.addrs[1], server.addrs[1])
		a.agreed()
	})
}

// Connections that are open when the first agent ever starts on a node live
// on, if policies allow them.
func TestS11_FirstInstallOnANodeWithPods(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server, live := n.policedPods()
		outside := n.uplink("eth0")
		l := n.listen(client, serverPort)
		inbound := n.tcp(outside, netip.AddrPortFrom(client.addrs[1], serverPort), l)
		api := n.apiSource()
		api.tell()
		a := n.start(from(api))
		for range 3 {
			live.alive(t, "allowed")
			inbound.alive(t, "to a pod without policy")
		}
		if got := a.try(client, server, 0, forbiddenPort); got != denied {
			t.Errorf("a new connection that is forbidden: %s, want %s", got, denied)
		}
		live.alive(t, "allowed, later")
		if s := a.status(); s.CutConnections != 0 {
			t.Errorf("%d cut", s.CutConnections)
		}
		a.agreed()
	})
}
