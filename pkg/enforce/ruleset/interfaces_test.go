package ruleset

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// byKind is a world whose pods' interfaces are known by what they are.
func byKind() *world {
	w := closedWorld()
	w.cfg.InterfacePrefix, w.cfg.ByKind = "", true
	w.cfg.NodeInterfaces = []string{"eth0"} // a machine that is a container itself
	w.cfg.Nodes = []netip.Addr{netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("fd01::2")}
	return w
}

func TestS31_UnknownIsClosedByKind(t *testing.T) {
	w := byKind()
	from := func(name, kind string) func(*Packet) { return func(p *Packet) { p.IIF, p.IIFKind = name, kind } }
	host := func(f func(*Packet)) func(*Packet) {
		return func(p *Packet) { f(p); p.ToHost, p.OIF, p.OIFKind = true, "", "" }
	}
	spoof := w.packet("10.0.0.77", "192.0.2.1", policy.TCP, 80)
	outside := w.packet("192.0.2.1", "192.0.2.2", policy.TCP, 80)
	w.check(t, []expect{
		{"a known pod", with(w.packet("a/y", "192.0.2.1", policy.TCP, 80), from(ifaceOf("a/y"), "veth")), Accept, 0},
		{"a known pod behind no veth", with(w.packet("a/y", "192.0.2.1", policy.TCP, 80), from(ifaceOf("a/y"), "")), Accept, 0},
		{"a second address", with(spoof, from(ifaceOf("a/y"), "veth")), Drop, IDSpoofed},
		{"a second address behind no veth", with(spoof, from(ifaceOf("a/y"), "tun")), Drop, IDSpoofed},
		{"an unknown veth", with(outside, from("cali123", "veth")), Drop, IDUnknown},
		{"an unknown netkit", with(outside, from("lxc123", "netkit")), Drop, IDUnknown},
		{"an unknown veth to the host", with(outside, host(from("cali123", "veth"))), Drop, IDUnknown},
		{"an unknown veth answers the host", with(outside, host(func(p *Packet) { from("cali123", "veth")(p); p.State = StateEstablished })), Accept, 0},
		{"to an unknown veth", with(outside, func(p *Packet) { p.OIF, p.OIFKind = "cali123", "veth" }), Drop, IDUnknown},
		{"to an unknown address", w.packet("192.0.2.1", "10.0.0.99", policy.TCP, 80), Drop, IDUnknown},
		{"the node's own veth", with(outside, from("eth0", "veth")), Accept, 0},
		{"to the node's own veth", with(outside, func(p *Packet) { p.OIF, p.OIFKind = "eth0", "veth" }), Accept, 0},
		{"the node's own veth to the host", with(outside, host(from("eth0", "veth"))), Accept, 0},
		{"a machine's interface", with(outside, from("ens5", "")), Accept, 0},
		{"a tunnel of the node", with(outside, from("flannel.1", "vxlan")), Accept, 0},
		{"a tunnel of a pod", with(w.packet("a/y", "10.1.0.2", policy.UDP, 4789), from(ifaceOf("a/y"), "veth")), Drop, IDTunnel},
		{"a tunnel of a pod behind no veth", with(w.packet("fd00::3", "fd01::2", policy.UDP, 4789), from(ifaceOf("a/y"), "tun")), Drop, IDTunnel},
		{"a tunnel between nodes", with(w.packet("10.1.0.3", "10.1.0.2", policy.UDP, 4789), from("eth0", "veth")), Accept, 0},
		{"a bridge of others", with(outside, from("docker0", "bridge")), Accept, 0},
		{"a new bridge's first pod", with(spoof, from("cni0", "bridge")), Drop, IDUnknown},
		{"a new bridge's first pod to the host", with(spoof, host(from("cni0", "bridge"))), Drop, IDUnknown},
	})
}

// With other nodes there are rules about tunnels to them, one for each family.
func TestS31_TunnelsToNodesByKind(t *testing.T) {
	w := byKind()
	w.cfg.Nodes = []netip.Addr{netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("fd01::2")}
	on := func(p *Packet) { p.IIF, p.IIFKind = ifaceOf("a/y"), "veth" }
	w.check(t, []expect{
		{"IPv4", with(w.packet("10.0.0.3", "10.1.0.2", policy.UDP, 4789), on), Drop, IDTunnel},
		{"IPv6", with(w.packet("fd00::3", "fd01::2", policy.UDP, 4789), on), Drop, IDTunnel},
		{"to another machine", with(w.packet("10.0.0.3", "10.1.0.3", policy.UDP, 4789), on), Accept, 0},
	})
}

// Pods behind one bridge share its interface: their addresses tell them apart.
func TestS31_PodsBehindABridge(t *testing.T) {
	w := byKind()
	w.cfg.Bridges = []string{"cni0"}
	in := w.input(nil)
	for i := range in.Local {
		in.Local[i].Interface = "cni0"
	}
	c, err := Compile(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := wellFormed(c.Ruleset); err != nil {
		t.Fatal(err)
	}
	on := func(p *Packet) { p.IIF, p.IIFKind, p.OIF, p.OIFKind = "cni0", "bridge", "cni0", "bridge" }
	icmp := func(kind, hops byte) Packet {
		p := with(w.packet("fe80::9", "ff02::1:ff00:2", policy.ICMPv6, 0), on)
		p.ICMPType, p.HopLimit, p.State = kind, hops, StateUntracked
		return p
	}
	for _, e := range []expect{
		{"a known pod", with(w.packet("a/y", "192.0.2.1", policy.TCP, 80), func(p *Packet) { p.IIF, p.IIFKind = "cni0", "bridge" }), Accept, 0},
		{"an unknown pod", with(w.packet("10.0.0.77", "192.0.2.1", policy.TCP, 80), func(p *Packet) { p.IIF = "cni0" }), Drop, IDUnknown},
		{"an unknown pod answers the host", with(w.packet("10.0.0.77", "10.1.0.1", policy.TCP, 80), func(p *Packet) { p.IIF, p.ToHost, p.OIF, p.State = "cni0", true, "", StateEstablished }), Accept, 0},
		{"an address outside the node", with(w.packet("192.0.2.7", "192.0.2.1", policy.TCP, 80), on), Drop, IDUnknown},
		{"to an unknown pod", with(w.packet("a/y", "10.0.0.99", policy.TCP, 80), on), Drop, IDUnknown},
		{"neighbour discovery among pods", icmp(135, 255), Accept, 0},
		{"neighbour discovery from afar", icmp(135, 254), Drop, 0},
		{"a rogue router", icmp(134, 255), Drop, IDRouter},
	} {
		out := Trace(c.Ruleset, e.p)
		if out.Verdict != e.want {
			t.Errorf("%s: verdict %v, want %v (%v)", e.name, out.Verdict, e.want, out.Path)
		}
		if e.log != 0 && (len(out.Logs) != 1 || out.Logs[0].Prefix != LogPrefix(e.log)) {
			t.Errorf("%s: logs %v, want number %d", e.name, out.Logs, e.log)
		}
	}
	in.Bridges = nil
	if _, err := Compile(in, nil); err == nil {
		t.Error("without the bridge: no error")
	}
}

// What is told of interfaces changes no more than the sets that name them.
func TestInterfacesChangeSetsOnly(t *testing.T) {
	w := byKind()
	in := w.input(nil)
	first, err := Compile(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	in.NodeInterfaces = []string{"eth0", "eth1"}
	second, err := Compile(in, first)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first.Ruleset.Chains, second.Ruleset.Chains) {
		t.Error("chains changed")
	}
}
