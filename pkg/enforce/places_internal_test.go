//go:build linux

package enforce

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// TestPlacesEqualSeesEveryChange: what is taken for the same is not told to
// the agent, so a pod interface that joined a bridge must make a difference:
// its traffic does not pass our hooks any more.
func TestPlacesEqualSeesEveryChange(t *testing.T) {
	a, b := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	base := func() *places {
		return &places{
			interfaces: map[netip.Addr]string{a: "np1"}, own: map[netip.Addr]bool{b: true}, bridged: []string{"np2"},
			node: []string{"eth0"}, holders: map[netip.Addr][]holder{a: {{name: "cali1", pods: true}}}, bridges: []bridgeNet{{netip.PrefixFrom(a, 24), "cni0"}},
		}
	}
	if !base().equal(base()) {
		t.Error("the same is told as a change")
	}
	for name, change := range map[string]func(*places){
		"a pod came":             func(p *places) { p.interfaces[b] = "np3" },
		"a pod moved":            func(p *places) { p.interfaces[a] = "np3" },
		"an address of ours":     func(p *places) { p.own[a] = true },
		"one joined a bridge":    func(p *places) { p.bridged = append(p.bridged, "np3") },
		"one left its bridge":    func(p *places) { p.bridged = nil },
		"another joined it":      func(p *places) { p.bridged[0] = "np4" },
		"a pod went":             func(p *places) { delete(p.interfaces, a) },
		"an uplink came":         func(p *places) { p.node = append(p.node, "eth1") },
		"an address moved":       func(p *places) { p.holders[a] = []holder{{name: "cali2", pods: true}} },
		"an uplink's gateway":    func(p *places) { p.holders[a] = []holder{{name: "cali1", pods: true, routed: true}} },
		"a bridge came":          func(p *places) { p.bridges = append(p.bridges, bridgeNet{netip.PrefixFrom(b, 24), "cni1"}) },
		"bridges call no hooks":  func(p *places) { p.deaf = true },
		"an address was removed": func(p *places) { delete(p.own, b) },
	} {
		p := base()
		change(p)
		if p.equal(base()) {
			t.Errorf("%s: not seen", name)
		}
	}
	if base().equal(nil) {
		t.Error("the first is not told")
	}
}

// What real nodes look like, and which interfaces are pods' there.
func TestS31_InterfacesOfRealNodes(t *testing.T) {
	pod, pod2 := netip.MustParseAddr("10.244.1.7"), netip.MustParseAddr("10.244.1.8")
	gateway, lan := netip.MustParseAddr("10.244.1.1"), netip.MustParsePrefix("192.168.1.0/24")
	pods := netip.MustParsePrefix("10.244.1.0/24")
	self := netip.MustParseAddr("192.0.2.1")
	node := &policy.Node{Addrs: []netip.Addr{self}}
	ep := &policy.Endpoint{Addrs: []netip.Addr{pod}}
	owner := func(netip.Addr) *policy.Endpoint { return ep }
	for name, tc := range map[string]struct {
		links map[int]*seen
		// behind is the interface of pod, node the node's own among veths and
		// bridges.
		behind string
		node   []string
	}{
		"ptp: the gateway's address on each veth": {map[int]*seen{
			1: {name: "ens5", gateway: true, subnet: true, nets: []netip.Prefix{lan}},
			2: {name: "veth1", kind: "veth", addrs: []netip.Addr{pod}, holds: []netip.Addr{gateway}},
			3: {name: "veth2", kind: "veth", addrs: []netip.Addr{pod2}, holds: []netip.Addr{gateway}},
		}, "veth1", nil},
		"ptp with the node's own address": {map[int]*seen{
			1: {name: "ens5", gateway: true, subnet: true, nets: []netip.Prefix{lan}, holds: []netip.Addr{self}},
			2: {name: "veth1", kind: "veth", gateway: true, addrs: []netip.Addr{pod}, holds: []netip.Addr{self}},
			3: {name: "veth2", kind: "veth", addrs: []netip.Addr{pod2}, holds: []netip.Addr{self}},
		}, "veth1", nil},
		"the same, and the node's uplink is one of them": {map[int]*seen{
			1: {name: "eth0", kind: "veth", gateway: true, holds: []netip.Addr{self}},
			2: {name: "veth1", kind: "veth", addrs: []netip.Addr{pod}, holds: []netip.Addr{self}},
			3: {name: "veth2", kind: "veth", addrs: []netip.Addr{pod2}, holds: []netip.Addr{self}},
		}, "veth1", []string{"eth0"}},
		"Calico's and cloud CNIs: no address": {map[int]*seen{
			1: {name: "eth0", gateway: true}, 2: {name: "cali1", kind: "veth", addrs: []netip.Addr{pod}},
		}, "cali1", nil},
		"flannel, the bridge plugin": {map[int]*seen{
			1: {name: "eth0", gateway: true}, 2: {name: "flannel.1", kind: "vxlan", gateway: true},
			3: {name: "cni0", kind: "bridge", subnet: true, nets: []netip.Prefix{pods}, holds: []netip.Addr{gateway}},
			4: {name: "veth1", kind: "veth", master: 3}, 5: {name: "veth2", kind: "veth", master: 3},
		}, "cni0", nil},
		"a node that is a container": {map[int]*seen{
			1: {name: "eth0", kind: "veth", gateway: true, subnet: true, nets: []netip.Prefix{lan}},
			2: {name: "veth1", kind: "veth", addrs: []netip.Addr{pod}},
		}, "veth1", []string{"eth0"}},
		"an uplink with routes to single machines": {map[int]*seen{
			1: {name: "eth0", kind: "veth", gateway: true, addrs: []netip.Addr{pod2}},
		}, "", []string{"eth0"}},
		"the node's uplink, whatever leads through it": {map[int]*seen{
			1: {name: "eth0", kind: "veth", gateway: true, addrs: []netip.Addr{pod}, holds: []netip.Addr{self}},
		}, "", []string{"eth0"}},
		"a pod that is a gateway": {map[int]*seen{
			1: {name: "eth0", kind: "veth", gateway: true, holds: []netip.Addr{self}},
			2: {name: "cali1", kind: "veth", gateway: true, nets: []netip.Prefix{lan}, addrs: []netip.Addr{pod}},
		}, "cali1", []string{"eth0"}},
		"a pod with a route by an uplink, too": {map[int]*seen{
			1: {name: "eth1", kind: "veth", gateway: true, addrs: []netip.Addr{pod}}, 2: {name: "cali1", kind: "veth", addrs: []netip.Addr{pod}},
		}, "cali1", []string{"eth1"}},
		"a pod behind a bridge that is a gateway": {map[int]*seen{
			1: {name: "cni0", kind: "bridge", gateway: true, subnet: true, nets: []netip.Prefix{pods}, holds: []netip.Addr{gateway}},
			2: {name: "veth1", kind: "veth", master: 1},
		}, "cni0", nil},
		"the node's own bridge of veths": {map[int]*seen{
			1: {name: "br0", kind: "bridge", gateway: true, subnet: true, nets: []netip.Prefix{pods}, holds: []netip.Addr{self}},
			2: {name: "veth1", kind: "veth", master: 1},
		}, "", []string{"br0"}},
		"two uplinks, one route by both": {map[int]*seen{
			1: {name: "eth0", kind: "veth", gateway: true}, 2: {name: "eth1", kind: "veth", gateway: true},
		}, "", []string{"eth0", "eth1"}},
		"the machine's own bridge": {map[int]*seen{
			1: {name: "br0", kind: "bridge", gateway: true, subnet: true, nets: []netip.Prefix{pods}}, 2: {name: "ens5", master: 1},
			3: {name: "veth1", kind: "veth", master: 1},
		}, "", []string{"br0"}},
		"a bridge to the network without a gateway": {map[int]*seen{
			1: {name: "br0", kind: "bridge", subnet: true, nets: []netip.Prefix{pods}}, 2: {name: "ens5", master: 1},
		}, "", []string{"br0"}},
		"a host route beside a bridge": {map[int]*seen{
			1: {name: "cni0", kind: "bridge", nets: []netip.Prefix{pods}}, 2: {name: "cali1", kind: "veth", addrs: []netip.Addr{pod}},
		}, "cali1", nil},
		"macvlan and the like: no route": {map[int]*seen{1: {name: "ens5", gateway: true, subnet: true, nets: []netip.Prefix{pods}}}, "", nil},
	} {
		l := &listing{links: tc.links, places: &places{interfaces: map[netip.Addr]string{}, own: map[netip.Addr]bool{}, holders: map[netip.Addr][]holder{}}}
		l.conclude()
		got := l.interfaceOf(ep, owner, l.uplinks(node))
		own := l.nodeInterfaces(node, map[string]bool{got: true})
		if got != tc.behind || !slices.Equal(own, tc.node) {
			t.Errorf("%s: the pod is behind %q, the node's own are %q; want %q and %q", name, got, own, tc.behind, tc.node)
		}
	}
}

// A veth that has the Node's address is the node's, even if no network is
// behind it.
func TestS31_InterfaceWithTheNodesAddress(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	p := &places{node: []string{"eth1"}, holders: map[netip.Addr][]holder{
		addr: {{name: "eth0", pods: true}}, netip.MustParseAddr("169.254.1.1"): {{name: "cali1", pods: true}},
	}}
	if got := p.nodeInterfaces(&policy.Node{Addrs: []netip.Addr{addr}}, nil); !slices.Equal(got, []string{"eth0", "eth1"}) {
		t.Errorf("the node's own are %q", got)
	}
	if got := p.nodeInterfaces(nil, nil); !slices.Equal(got, []string{"eth1"}) {
		t.Errorf("of a node that nobody knows: %q", got)
	}
}

// What is read twice without a change is the same: CNIs give all pods'
// interfaces one address, and two of them may be said to lead to one pod.
func TestPlacesAreReadInOneOrder(t *testing.T) {
	addr, gateway := netip.MustParseAddr("10.244.1.7"), netip.MustParseAddr("10.244.1.1")
	read := func() *places {
		l := &listing{links: map[int]*seen{}, places: &places{interfaces: map[netip.Addr]string{}, own: map[netip.Addr]bool{}, holders: map[netip.Addr][]holder{}}}
		for i := range 8 {
			l.links[i] = &seen{name: fmt.Sprint("veth", i), kind: "veth", addrs: []netip.Addr{addr}, holds: []netip.Addr{gateway}, gateway: i > 5}
		}
		l.conclude()
		return l.places
	}
	first := read()
	for range 20 {
		if p := read(); !p.equal(first) {
			t.Fatalf("%v differs from %v", p, first)
		}
	}
}
