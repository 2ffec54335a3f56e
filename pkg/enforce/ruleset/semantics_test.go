package ruleset

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// expect traces packets and compares what becomes of them.
type expect struct {
	name string
	p    Packet
	want VerdictKind
	log  uint32 // id in the last log entry, 0 for none
}

func (w *world) check(t *testing.T, list []expect) {
	t.Helper()
	c := w.compile(t)
	for _, e := range list {
		out := Trace(c.Ruleset, e.p)
		if out.Verdict != e.want {
			t.Errorf("%s: verdict %s, want %s; path %v", e.name, verdictText(Verdict{Kind: out.Verdict}), verdictText(Verdict{Kind: e.want}), out.Path)
		}
		got := uint32(0)
		if n := len(out.Logs); n > 0 {
			got, _ = ParseLogPrefix(out.Logs[n-1].Prefix)
		}
		if e.log != 0 && got != e.log || e.want == Accept && e.log == 0 && got != 0 {
			t.Errorf("%s: logged id %d, want %d; path %v", e.name, got, e.log, out.Path)
		}
	}
}

func with(p Packet, change func(*Packet)) Packet {
	change(&p)
	return p
}

// closed is a world in which policy selects a/x both ways and lets nothing
// through but tcp 80.
func closedWorld() *world {
	w := newWorld()
	w.namespace("a")
	w.pod("a/x", "10.0.0.2 fd00::2", "app=x")
	w.pod("a/y", "10.0.0.3 fd00::3", "app=y")
	w.policy("a", "in", "app == 'x'", policy.Ingress, from(policy.Allow, "", policy.TCP, single(80)))
	w.policy("a", "out", "app == 'x'", policy.Egress, toward(policy.Allow, "", policy.TCP, single(80)))
	return w
}

func TestS10_BothEndsOnOneNode(t *testing.T) {
	w := closedWorld()
	w.pod("a/z", "10.0.0.4", "app=z")
	w.policy("a", "z", "app == 'z'", policy.Egress, toward(policy.Allow, "", policy.UDP))
	w.check(t, []expect{
		{"allowed by both", w.packet("a/y", "a/x", policy.TCP, 80), Accept, 0},
		{"denied by the destination", w.packet("a/y", "a/x", policy.TCP, 81), Drop, 0},
		{"denied by the source", w.packet("a/z", "a/x", policy.TCP, 80), Drop, 0},
		{"denied by the source, destination open", w.packet("a/x", "a/y", policy.UDP, 80), Drop, 0},
		{"from outside", w.packet("192.0.2.1", "a/x", policy.TCP, 80), Accept, 0},
		{"from outside, denied", w.packet("192.0.2.1", "a/x", policy.UDP, 80), Drop, 0},
		{"no pod at all", w.packet("192.0.2.1", "192.0.2.2", policy.UDP, 80), Accept, 0},
	})
}

func TestS11_NewTCPBeginsWithSyn(t *testing.T) {
	ack := func(p *Packet) { p.TCPFlags = tcpACK }
	w := closedWorld()
	list := []expect{
		{"SYN", w.packet("a/y", "a/x", policy.TCP, 80), Accept, 0},
		{"SYN of ECN", with(w.packet("a/y", "a/x", policy.TCP, 80), func(p *Packet) { p.TCPFlags = tcpSYN | 0xc0 }), Accept, 0},
		{"ACK to a policed pod", with(w.packet("192.0.2.1", "a/x", policy.TCP, 80), ack), Drop, 0},
		{"ACK from a policed pod", with(w.packet("a/x", "192.0.2.1", policy.TCP, 80), ack), Drop, 0},
		{"ACK of an open pod", with(w.packet("a/y", "192.0.2.1", policy.TCP, 80), ack), Accept, 0},
		{"ACK of a known connection", with(w.packet("192.0.2.1", "a/x", policy.TCP, 80), func(p *Packet) { p.TCPFlags, p.State = tcpACK, StateEstablished }), Accept, 0},
	}
	w.check(t, list)
	w.cfg.LooseTCP = true
	for i := range list {
		list[i].name += ", first install"
		list[i].want = Accept
	}
	w.check(t, list)
}

func TestS11_CutComesBeforeEstablished(t *testing.T) {
	w := closedWorld()
	r := *w.compile(t).Ruleset
	r.Sets = slices.Clone(r.Sets)
	for _, p := range []Packet{
		w.packet("a/y", "a/x", policy.TCP, 80),
		with(w.packet("a/y", "192.0.2.1", policy.TCP, 80), func(p *Packet) { p.ToHost = true }),
	} {
		p.State = StateEstablished
		if out := Trace(&r, p); out.Verdict != Accept {
			t.Fatalf("before the cut: %v", out)
		}
		i := slices.IndexFunc(r.Sets, func(s *Set) bool { return s.Name == "cut4" })
		cut := *r.Sets[i]
		key, _ := (&tracer{rules: &r, packet: &p}).key(cut.Fields)
		cut.Elements = sorted(append(slices.Clone(cut.Elements), Element{Key: key}))
		r.Sets[i] = &cut
		if out := Trace(&r, p); out.Verdict != Drop {
			t.Errorf("after the cut: %v", out)
		}
	}
}

func TestS12_HostAndItsPods(t *testing.T) {
	w := closedWorld()
	toHost := func(p *Packet) { p.ToHost, p.OIF = true, "" }
	w.check(t, []expect{
		{"pod to host, allowed by egress", with(w.packet("a/x", "10.1.0.1", policy.TCP, 80), toHost), Accept, 0},
		{"pod to host, denied by egress", with(w.packet("a/x", "10.1.0.1", policy.TCP, 22), toHost), Drop, 0},
		{"open pod to host", with(w.packet("a/y", "10.1.0.1", policy.TCP, 22), toHost), Accept, 0},
		{"reply to the host's probe", with(w.packet("a/x", "10.1.0.1", policy.TCP, 22), func(p *Packet) { toHost(p); p.State = StateEstablished }), Accept, 0},
		{"invalid", with(w.packet("a/x", "10.1.0.1", policy.TCP, 80), func(p *Packet) { p.State = StateInvalid }), Drop, 0},
		{"invalid, of an open pod", with(w.packet("a/y", "10.1.0.1", policy.TCP, 80), func(p *Packet) { p.State = StateInvalid }), Drop, 0},
		{"invalid, of no pod", with(w.packet("10.1.0.2", "10.1.0.1", policy.TCP, 80), func(p *Packet) { p.State = StateInvalid }), Accept, 0},
	})
}

// The node begins connections to its pods as it likes. What it says in one
// that conntrack does not know would bring back what was cut.
func TestS12_HostToItsPods(t *testing.T) {
	w := closedWorld()
	fromHost := func(p *Packet) { p.FromHost, p.IIF = true, "" }
	ack := func(p *Packet) { fromHost(p); p.TCPFlags = tcpACK }
	list := []expect{
		{"SYN to a policed pod", with(w.packet("10.1.0.1", "a/x", policy.TCP, 22), fromHost), Accept, 0},
		{"UDP to a policed pod", with(w.packet("10.1.0.1", "a/x", policy.UDP, 22), fromHost), Accept, 0},
		{"reply", with(w.packet("10.1.0.1", "a/x", policy.TCP, 22), func(p *Packet) { ack(p); p.State = StateEstablished }), Accept, 0},
		{"invalid", with(w.packet("10.1.0.1", "a/x", policy.TCP, 22), func(p *Packet) { fromHost(p); p.State = StateInvalid }), Accept, 0},
		{"ACK to a policed pod", with(w.packet("10.1.0.1", "a/x", policy.TCP, 22), ack), Drop, 0},
		{"ACK to an open pod", with(w.packet("10.1.0.1", "a/y", policy.TCP, 22), ack), Accept, 0},
		{"ACK to no pod", with(w.packet("10.1.0.1", "192.0.2.1", policy.TCP, 22), ack), Accept, 0},
	}
	w.check(t, list)
	w.cfg.LooseTCP = true
	for i := range list {
		list[i].name += ", first install"
		list[i].want = Accept
	}
	w.check(t, list)
}

func TestS23_NeighbourDiscovery(t *testing.T) {
	w := closedWorld()
	icmp := func(src string, kind, hops byte, host bool) Packet {
		p := w.packet(src, "ff02::1", policy.ICMPv6, 0)
		p.IIF, p.ICMPType, p.HopLimit, p.State, p.ToHost = ifaceOf("a/x"), kind, hops, StateUntracked, host
		return p
	}
	list := []expect{
		{"router advertisement", icmp("fe80::1", 134, 255, true), Drop, IDRouter},
		{"router advertisement from the pod's own address", icmp("fd00::2", 134, 255, true), Drop, IDRouter},
		{"router advertisement forwarded", icmp("fd00::2", 134, 255, false), Drop, IDRouter},
		{"solicitation through a router", icmp("fe80::1", 135, 254, true), Drop, 0},
		{"echo from a link-local address", icmp("fe80::1", 128, 64, true), Drop, IDSpoofed},
		{"router advertisement from no pod", with(icmp("fe80::1", 134, 255, true), func(p *Packet) { p.IIF = "eth0" }), Accept, 0},
	}
	for _, kind := range []byte{133, 135, 136} {
		list = append(list, expect{"discovery", icmp("fe80::1", kind, 255, true), Accept, 0},
			expect{"discovery, duplicate address detection", icmp("::", kind, 255, true), Accept, 0})
	}
	for _, kind := range []byte{130, 131, 132, 143} {
		list = append(list, expect{"listeners", icmp("fe80::1", kind, 1, true), Accept, 0})
	}
	w.check(t, list)
}

func TestS31_UnknownIsClosed(t *testing.T) {
	w := closedWorld()
	iif := func(name string) func(*Packet) { return func(p *Packet) { p.IIF = name } }
	host := func(p *Packet) { p.ToHost, p.OIF = true, "" }
	w.check(t, []expect{
		{"another pod's address", with(w.packet("a/y", "192.0.2.1", policy.TCP, 80), iif(ifaceOf("a/x"))), Drop, IDSpoofed},
		{"a second address", with(w.packet("10.0.0.77", "192.0.2.1", policy.TCP, 80), iif(ifaceOf("a/y"))), Drop, IDSpoofed},
		{"a second address, IPv6", with(w.packet("fd00::77", "2001:db8::1", policy.TCP, 80), iif(ifaceOf("a/y"))), Drop, IDSpoofed},
		{"a foreign address on a live connection", with(w.packet("10.0.0.77", "192.0.2.1", policy.TCP, 80), func(p *Packet) { p.IIF, p.State = ifaceOf("a/y"), StateEstablished }), Drop, IDSpoofed},
		{"link-local", with(w.packet("fe80::9", "fe80::1", policy.TCP, 80), func(p *Packet) { host(p); p.IIF = ifaceOf("a/y") }), Drop, IDSpoofed},
		{"unknown interface", with(w.packet("10.0.0.77", "192.0.2.1", policy.TCP, 80), iif("npnew")), Drop, IDUnknown},
		{"unknown interface to the host", with(w.packet("10.0.0.77", "10.1.0.1", policy.TCP, 80), func(p *Packet) { host(p); p.IIF = "npnew" }), Drop, IDUnknown},
		{"unknown interface answers the host", with(w.packet("10.0.0.77", "10.1.0.1", policy.TCP, 80), func(p *Packet) { host(p); p.IIF, p.State = "npnew", StateEstablished }), Accept, 0},
		{"unknown interface answers somebody else", with(w.packet("10.0.0.77", "192.0.2.1", policy.TCP, 80), func(p *Packet) { p.IIF, p.State = "npnew", StateEstablished }), Drop, IDUnknown},
		{"to an unknown interface", with(w.packet("192.0.2.1", "10.9.9.9", policy.TCP, 80), func(p *Packet) { p.OIF = "npnew" }), Drop, IDUnknown},
		{"to an unknown address of this node", w.packet("192.0.2.1", "10.0.0.99", policy.TCP, 80), Drop, IDUnknown},
		{"to an unknown address of this node, IPv6", w.packet("2001:db8::1", "fd00::99", policy.TCP, 80), Drop, IDUnknown},
		{"DHCP", with(w.packet("0.0.0.0", "255.255.255.255", policy.UDP, 67), func(p *Packet) { host(p); p.IIF, p.SPort = "npnew", 68 }), Accept, 0},
		{"DHCP from another port", with(w.packet("0.0.0.0", "255.255.255.255", policy.UDP, 67), func(p *Packet) { host(p); p.IIF, p.SPort = "npnew", 69 }), Drop, IDUnknown},
		{"DHCPv6", with(w.packet("fe80::9", "ff02::1:2", policy.UDP, 547), func(p *Packet) { host(p); p.IIF, p.SPort = ifaceOf("a/x"), 546 }), Accept, 0},
		{"DHCP is not forwarded", with(w.packet("0.0.0.0", "192.0.2.1", policy.UDP, 67), func(p *Packet) { p.IIF, p.SPort = ifaceOf("a/x"), 68 }), Drop, IDUnknown},
	})
}

func TestS31_PodMadeTunnels(t *testing.T) {
	w := closedWorld()
	w.cfg.Nodes = []netip.Addr{netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("fd01::2")}
	host := func(p *Packet) { p.ToHost, p.OIF = true, "" }
	w.check(t, []expect{
		{"VXLAN to the host", with(w.packet("a/y", "10.1.0.1", policy.UDP, 4789), host), Drop, IDTunnel},
		{"VXLAN to the host, live", with(w.packet("a/y", "10.1.0.1", policy.UDP, 8472), func(p *Packet) { host(p); p.State = StateEstablished }), Drop, IDTunnel},
		{"Geneve to a node", w.packet("a/y", "10.1.0.2", policy.UDP, 6081), Drop, IDTunnel},
		{"IPIP to a node", w.packet("a/y", "10.1.0.2", 4, 0), Drop, IDTunnel},
		{"IPIP to the host", with(w.packet("a/y", "10.1.0.1", 4, 0), host), Drop, IDTunnel},
		{"VXLAN to a node, IPv6", with(w.packet("fd00::3", "fd01::2", policy.UDP, 4789), func(p *Packet) { p.IIF = ifaceOf("a/y") }), Drop, IDTunnel},
		{"TCP on that port", with(w.packet("a/y", "10.1.0.1", policy.TCP, 4789), host), Accept, 0},
		{"VXLAN elsewhere", w.packet("a/y", "192.0.2.1", policy.UDP, 4789), Accept, 0},
		{"UDP to a node", w.packet("a/y", "10.1.0.2", policy.UDP, 53), Accept, 0},
		{"VXLAN of nodes", w.packet("10.1.0.2", "10.1.0.3", policy.UDP, 4789), Accept, 0},
	})
	w.cfg.AllowTunnels = true
	w.check(t, []expect{
		{"permitted to the host", with(w.packet("a/y", "10.1.0.1", policy.UDP, 4789), host), Accept, 0},
		{"permitted to a node", w.packet("a/y", "10.1.0.2", 4, 0), Accept, 0},
	})
}

func TestS32_PodReachesItself(t *testing.T) {
	w := closedWorld()
	w.check(t, []expect{
		{"hairpin", w.packet("a/x", "a/x", policy.TCP, 9999), Accept, 0},
		{"hairpin, IPv6", with(w.packet("fd00::2", "fd00::2", policy.UDP, 9999), func(p *Packet) { p.IIF, p.OIF = ifaceOf("a/x"), ifaceOf("a/x") }), Accept, 0},
		{"somebody else as itself", with(w.packet("a/x", "a/x", policy.TCP, 9999), func(p *Packet) { p.IIF = ifaceOf("a/y") }), Drop, IDSpoofed},
	})
}

func TestS35_NewestOwnsTheAddress(t *testing.T) {
	w := closedWorld()
	old := w.pod("a/old", "10.0.0.7", "app=old")
	w.pod("a/new", "10.0.0.7", "app=new").Created = 2
	old.Created, old.Terminating = 1, true
	w.policy("a", "peers", "app == 'x'", policy.Ingress, from(policy.Allow, "app == 'new'", policy.UDP, single(53)))
	w.check(t, []expect{
		{"the newest", with(w.packet("10.0.0.7", "a/x", policy.UDP, 53), func(p *Packet) { p.IIF = ifaceOf("a/new") }), Accept, 0},
		{"the one before", with(w.packet("10.0.0.7", "a/x", policy.UDP, 53), func(p *Packet) { p.IIF = ifaceOf("a/old") }), Drop, 0},
	})
}

func TestS7_LogsOnTheWay(t *testing.T) {
	w := newWorld()
	w.namespace("a")
	w.pod("a/x", "10.0.0.2", "app=x")
	w.remote("a/y", "10.0.1.3", "app=y")
	w.policy("a", "p", "app == 'x'", policy.Ingress,
		from(policy.Log, "app == 'y'", policy.TCP), from(policy.Log, "", 0), from(policy.Allow, "", policy.TCP, single(80)))
	c := w.compile(t)
	for port, want := range map[uint16][]string{80: {"rule 0", "rule 1"}, 81: {"rule 0", "rule 1", "end of tier"}} {
		out := Trace(c.Ruleset, w.packet("a/y", "a/x", policy.TCP, port))
		var got []string
		for _, l := range out.Logs {
			id, _ := ParseLogPrefix(l.Prefix)
			hit, dir, ok := c.Hit(id)
			if !ok || dir != policy.Ingress || hit.Policy.Name != "p" {
				t.Fatalf("port %d: id %d is %v %v %v", port, id, hit, dir, ok)
			}
			group := c.state.decisions.describe(id)
			got = append(got, group[strings.LastIndex(group, ", ")+2:])
			if (l.Group == w.cfg.DenyGroup) != (hit.Action == policy.Deny) {
				t.Errorf("port %d: id %d (%v) went to group %d", port, id, hit, l.Group)
			}
		}
		if !slices.Equal(got, want) || (out.Verdict == Accept) != (port == 80) {
			t.Errorf("port %d: logs %v, want %v; %v", port, got, want, out.Verdict)
		}
	}
}

// What the kernel reads as a port of a protocol without ports is no port.
func TestS22_PortsOfProtocolsWithPortsOnly(t *testing.T) {
	w := closedWorld()
	w.check(t, []expect{
		{"ICMP with a checksum of 80", w.packet("a/y", "a/x", policy.ICMP, 80), Drop, 0},
		{"UDPLite", w.packet("a/y", "a/x", policy.UDPLite, 80), Drop, 0},
		{"a fragment without header", with(w.packet("a/y", "a/x", policy.TCP, 80), func(p *Packet) { p.Fragment = true }), Drop, 0},
	})
}

func TestReservedAndPolicyIDs(t *testing.T) {
	c := closedWorld().compile(t)
	for id := uint32(0); id < firstHitID; id++ {
		if _, _, ok := c.Hit(id); ok {
			t.Errorf("reserved id %d is a hit", id)
		}
	}
	if _, _, ok := c.Hit(firstHitID); !ok {
		t.Error("the first id is no hit")
	}
	if _, _, ok := c.Hit(firstHitID + 1000); ok {
		t.Error("an id never given out is a hit")
	}
	if name, dir, ok := Reserved(IDSpoofed); !ok || name != "spoofed" || dir != policy.Egress {
		t.Errorf("Reserved(IDSpoofed) = %q, %v, %v", name, dir, ok)
	}
	if name, dir, ok := Reserved(IDSource); !ok || name != "source" || dir != policy.Egress {
		t.Errorf("Reserved(IDSource) = %q, %v, %v", name, dir, ok)
	}
	if name, dir, ok := Reserved(IDSourceIn); !ok || name != "source" || dir != policy.Ingress {
		t.Errorf("Reserved(IDSourceIn) = %q, %v, %v", name, dir, ok)
	}
	for _, s := range []string{"", "netpol:", "netpol:x", "other:1", "netpol:4294967296"} {
		if id, ok := ParseLogPrefix(s); ok {
			t.Errorf("ParseLogPrefix(%q) = %d", s, id)
		}
	}
}

func TestCompileRefusesBadInput(t *testing.T) {
	w := closedWorld()
	for name, change := range map[string]func(*Input){
		"no model":            func(in *Input) { in.Model = nil },
		"no prefix":           func(in *Input) { in.InterfacePrefix = "" },
		"long prefix":         func(in *Input) { in.InterfacePrefix = "a123456789012345" },
		"foreign interface":   func(in *Input) { in.Local[0].Interface = "eth0" },
		"long interface":      func(in *Input) { in.Local[0].Interface = "np12345678901234" },
		"shared interface":    func(in *Input) { in.Local[0].Interface = in.Local[1].Interface },
		"interface of no pod": func(in *Input) { in.Local[0].Endpoint = nil },
	} {
		in := w.input(nil)
		change(&in)
		if _, err := Compile(in, nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
