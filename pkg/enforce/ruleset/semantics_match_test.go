package ruleset

import (
	"fmt"
	"slices"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// message is an ICMP packet of either family.
func (w *world) message(src, dst string, proto policy.Protocol, typ, code byte) Packet {
	return with(w.packet(src, dst, proto, 0), func(p *Packet) { p.ICMPType, p.ICMPCode = typ, code })
}

// source is a packet from a port.
func (w *world) source(src, dst string, proto policy.Protocol, sport, dport uint16) Packet {
	return with(w.packet(src, dst, proto, dport), func(p *Packet) { p.SPort = sport })
}

func TestS22_ICMPTypeAndCode(t *testing.T) {
	w := icmpWorld()
	// What others have as destination port is ICMP's checksum.
	checksum := func(p *Packet) { p.DPort = 8 << 8 }
	w.check(t, []expect{
		{"a ping", w.message("a/y", "a/x", policy.ICMP, 8, 0), Accept, 0},
		{"any code of the type", w.message("a/y", "a/x", policy.ICMP, 8, 255), Accept, 0},
		{"the type before", w.message("a/y", "a/x", policy.ICMP, 7, 255), Drop, 0},
		{"the type after", w.message("a/y", "a/x", policy.ICMP, 9, 0), Drop, 0},
		{"another type with a checksum like it", with(w.message("a/y", "a/x", policy.ICMP, 13, 0), checksum), Drop, 0},
		{"that type number of ICMPv6", w.message("a/y", "a/x", policy.ICMPv6, 8, 0), Drop, 0},
		{"TCP from a port like it", w.source("a/y", "a/x", policy.TCP, 8<<8, 80), Drop, 0},
		{"a ping of somebody else", w.message("192.0.2.1", "a/x", policy.ICMP, 8, 0), Drop, 0},
		{"type and code", w.message("192.0.2.1", "a/x", policy.ICMP, 3, 3), Accept, 0},
		{"another code", w.message("192.0.2.1", "a/x", policy.ICMP, 3, 4), Drop, 0},
		{"type and code from another net", w.message("192.0.3.1", "a/x", policy.ICMP, 3, 3), Drop, 0},
		{"a ping over IPv6", w.message("fd00:0:0:1::3", "fd00::2", policy.ICMPv6, 128, 0), Accept, 0},
		{"a ping over IPv6 with a code", w.message("fd00:0:0:1::3", "fd00::2", policy.ICMPv6, 128, 1), Drop, 0},
		{"from anybody over IPv6", w.message("2001:db8::1", "fd00::2", policy.ICMPv6, 2, 0), Accept, 0},
		{"a fragment without header", with(w.message("a/y", "a/x", policy.ICMP, 8, 0), func(p *Packet) { p.Fragment = true }), Drop, 0},
	})
}

func TestS17_NotICMPNegatesTypeAndCodeTogether(t *testing.T) {
	w := icmpWorld()
	w.check(t, []expect{
		{"type and code", w.message("a/z", "a/x", policy.ICMP, 5, 1), Drop, 0},
		{"the type alone", w.message("a/z", "a/x", policy.ICMP, 5, 0), Accept, 0},
		{"the code alone", w.message("a/z", "a/x", policy.ICMP, 3, 1), Accept, 0},
		{"another protocol", w.message("a/z", "a/x", policy.ICMPv6, 5, 0), Drop, 0},
	})
}

func TestS21_SourcePorts(t *testing.T) {
	w := sourcePortWorld()
	w.check(t, []expect{
		{"an answer of DNS", w.source("192.0.2.1", "a/x", policy.UDP, 53, 40000), Accept, 0},
		{"from another port", w.source("192.0.2.1", "a/x", policy.UDP, 54, 40000), Drop, 0},
		{"TCP from that port", w.source("192.0.2.1", "a/x", policy.TCP, 53, 40000), Drop, 0},
		{"UDPLite has no ports for rules", w.source("192.0.2.1", "a/x", policy.UDPLite, 53, 40000), Drop, 0},
		{"IPv6", w.source("2001:db8::1", "fd00::2", policy.UDP, 53, 40000), Accept, 0},
		{"privileged", w.source("a/y", "a/x", policy.TCP, 1023, 514), Accept, 0},
		{"not privileged", w.source("a/y", "a/x", policy.TCP, 1024, 514), Drop, 0},
		{"privileged, to another port", w.source("a/y", "a/x", policy.TCP, 1023, 515), Drop, 0},
		{"a known peer that no rule names", w.source("a/z", "a/x", policy.UDP, 53, 1), Accept, 0},
		{"ICMP with a type like the port", w.message("192.0.2.1", "a/x", policy.ICMP, 0, 53), Drop, 0},
	})
}

// The pod's own source ports are its egress's.
func TestS21_SourcePortsOfEgress(t *testing.T) {
	w := smallWorld()
	r := toward(policy.Allow, "app == 'y'", policy.TCP, single(80))
	r.Source.Ports = []policy.PortRange{single(1), single(7)}
	w.policy("a", "out", "app == 'x'", policy.Egress, r)
	w.check(t, []expect{
		{"one", w.source("a/x", "a/y", policy.TCP, 7, 80), Accept, 0},
		{"another", w.source("a/x", "a/y", policy.TCP, 1, 80), Accept, 0},
		{"none of them", w.source("a/x", "a/y", policy.TCP, 2, 80), Drop, 0},
		{"somebody else", w.source("a/x", "a/z", policy.TCP, 7, 80), Drop, 0},
	})
}

// A port that can't be asked about, and more classes than are told apart, are
// closed.
func TestS31_SourcePortsThatAreNotToldApart(t *testing.T) {
	w := smallWorld()
	var rules []policy.Rule
	for i := range maxSources + 10 {
		rules = append(rules, fromPorts(from(policy.Allow, "", policy.TCP), single(uint16(2*i))))
	}
	w.policy("a", "many", "app == 'x'", policy.Ingress, rules...)
	out := toward(policy.Allow, "", policy.TCP, single(80))
	out.Source.Ports = []policy.PortRange{single(0)}
	w.policy("a", "out", "app == 'x'", policy.Egress, out)
	w.check(t, []expect{
		{"port 0", w.source("a/y", "a/x", policy.TCP, 0, 80), Drop, IDSourceIn},
		{"an early one", w.source("a/y", "a/x", policy.TCP, 20, 80), Accept, 0},
		{"a late one", w.source("a/y", "a/x", policy.TCP, 2*(maxSources+5), 80), Drop, IDSourceIn},
		{"none of them", w.source("a/y", "a/x", policy.TCP, 21, 80), Drop, firstHitID},
		{"port 0 of the pod's own", w.source("a/x", "a/y", policy.TCP, 0, 80), Drop, IDSource},
	})
}

func TestS21_NamedPorts(t *testing.T) {
	w := namedPortWorld()
	w.check(t, []expect{
		{"the pod's own", w.packet("192.0.2.1", "a/x", policy.TCP, 8080), Accept, 0},
		{"declared twice", w.packet("192.0.2.1", "a/x", policy.TCP, 8081), Accept, 0},
		{"not declared", w.packet("192.0.2.1", "a/x", policy.TCP, 8082), Drop, 0},
		{"another protocol", w.packet("192.0.2.1", "a/x", policy.UDP, 8080), Drop, 0},
		{"a peer's", w.packet("a/x", "a/y", policy.UDP, 5353), Accept, 0},
		{"another peer's, there", w.packet("a/x", "a/z", policy.UDP, 53), Accept, 0},
		{"another peer's, here", w.packet("a/x", "a/y", policy.UDP, 53), Drop, 0},
		{"the number beside it", w.packet("a/x", "a/y", policy.UDP, 123), Accept, 0},
		{"an address that declares nothing", w.packet("a/x", "192.0.2.1", policy.UDP, 53), Drop, 0},
	})
}

func TestS20_Services(t *testing.T) {
	w := serviceWorld()
	w.check(t, []expect{
		{"a backend and its port", w.packet("a/x", "a/y", policy.TCP, 8080), Accept, 0},
		{"its other port", w.packet("a/x", "a/y", policy.UDP, 5353), Accept, 0},
		{"the port with the other protocol", w.packet("a/x", "a/y", policy.UDP, 8080), Drop, 0},
		{"the Service's own port", w.packet("a/x", "a/y", policy.TCP, 80), Drop, 0},
		{"no backend", w.packet("a/x", "a/z", policy.TCP, 8080), Drop, 0},
		{"a backend that is no pod", w.packet("a/x", "192.0.2.9", policy.TCP, 8080), Accept, 0},
		{"a port that it has not", w.packet("a/x", "192.0.2.9", policy.UDP, 5353), Drop, 0},
		{"its neighbour", w.packet("a/x", "192.0.2.8", policy.TCP, 8080), Drop, 0},
		{"as source, any port", w.packet("a/y", "a/x", policy.TCP, 1), Accept, 0},
		{"as source, an address", w.packet("192.0.2.9", "a/x", policy.TCP, 1), Accept, 0},
		{"as source, no backend", w.packet("a/z", "a/x", policy.TCP, 1), Drop, 0},
	})
}

func TestS18_NetworkSets(t *testing.T) {
	w := networkSetWorld()
	w.check(t, []expect{
		{"in the global set", w.packet("198.51.100.1", "a/x", policy.TCP, 443), Accept, 0},
		{"in both, and the other one denies", w.packet("198.51.100.200", "a/x", policy.TCP, 443), Drop, 0},
		{"in the namespace's set only", w.packet("203.0.113.7", "a/x", policy.TCP, 443), Drop, 0},
		{"IPv6", w.packet("2001:db8::1", "fd00::2", policy.TCP, 443), Accept, 0},
		{"outside", w.packet("198.51.101.1", "a/x", policy.TCP, 443), Drop, 0},
		{"another port", w.packet("198.51.100.1", "a/x", policy.TCP, 80), Drop, 0},
		{"a host endpoint", w.packet("10.1.0.1", "a/x", policy.TCP, 443), Accept, 0},
	})
}

func TestS19_ServiceAccounts(t *testing.T) {
	w := accountWorld()
	w.check(t, []expect{
		{"by name", w.packet("a/y", "a/x", policy.TCP, 80), Accept, 0},
		{"by another name", w.packet("a/z", "a/x", policy.TCP, 80), Accept, 0},
		{"by labels", w.packet("a/z", "a/x", policy.TCP, 81), Accept, 0},
		{"without the label", w.packet("a/y", "a/x", policy.TCP, 81), Drop, 0},
		{"no pod", w.packet("192.0.2.1", "a/x", policy.TCP, 80), Drop, 0},
	})
}

func TestS17_Negations(t *testing.T) {
	w := negationWorld()
	w.check(t, []expect{
		{"neither number nor name", w.packet("a/y", "a/x", policy.TCP, 2000), Accept, 0},
		{"the number", w.packet("a/y", "a/x", policy.TCP, 80), Drop, 0},
		{"the name", w.packet("a/y", "a/x", policy.TCP, 9090), Drop, 0},
		{"not the protocol", w.packet("192.0.2.1", "a/x", policy.UDP, 1), Accept, 0},
		{"the protocol", w.packet("192.0.2.1", "a/x", policy.TCP, 1), Drop, 0},
		{"the net left out", w.packet("192.0.2.129", "a/x", policy.UDP, 1), Drop, 0},
		{"outside the cluster", w.packet("203.0.113.1", "a/x", policy.SCTP, 1), Accept, 0},
		{"the peer left out", w.packet("a/y", "a/x", policy.SCTP, 1), Drop, 0},
	})
}

// logged are the rules in the log, in order, and whether it was a refusal.
func logged(c *Compiled, out Outcome) []string {
	var list []string
	for _, l := range out.Logs {
		id, _ := ParseLogPrefix(l.Prefix)
		hit, dir, _ := c.Hit(id)
		list = append(list, fmt.Sprintf("%s %s %s %d in group %d", dir, hit.Tier, hit.Policy.Name, hit.Rule, l.Group))
	}
	return list
}

// A Log rule logs in each tier and direction that the connection passes, once
// for a connection, and a flood loses lines but no verdicts.
func TestS7_LogsOnceForAConnection(t *testing.T) {
	w := smallWorld()
	w.pod("a/w", "10.0.0.9", "app=w")
	w.tier("first", 10, policy.Pass)
	w.policy("", "early", "app == 'x'", policy.Ingress, from(policy.Log, "", 0)).Tier = "first"
	w.policy("a", "in", "app == 'x'", policy.Ingress, from(policy.Log, "", policy.UDP), from(policy.Allow, "", policy.UDP, single(53)))
	w.policy("a", "out", "app == 'w'", policy.Egress, toward(policy.Log, "app == 'x'", 0), toward(policy.Allow, "", 0))
	c := w.compile(t)
	w.cfg.DenyGroup, w.cfg.LogGroup = 100, 101
	onTheWay := []string{"Egress default out 0 in group 101", "Ingress first early 0 in group 101", "Ingress default in 0 in group 101"}
	for _, test := range []struct {
		name string
		p    Packet
		want VerdictKind
		logs []string
	}{
		{"allowed", w.packet("a/w", "a/x", policy.UDP, 53), Accept, onTheWay},
		{"the second packet before an answer", with(w.packet("a/w", "a/x", policy.UDP, 53), func(p *Packet) { p.Confirmed = true }), Accept, nil},
		{"after an answer", with(w.packet("a/w", "a/x", policy.UDP, 53), func(p *Packet) { p.State = StateEstablished }), Accept, nil},
		{"refused at the end of the tier", w.packet("a/w", "a/x", policy.UDP, 54), Drop, append(slices.Clone(onTheWay), "Ingress default in -1 in group 100")},
		{"in a flood", with(w.packet("a/w", "a/x", policy.UDP, 53), func(p *Packet) { p.Flood = true }), Accept, nil},
		{"refused in a flood", with(w.packet("a/w", "a/x", policy.UDP, 54), func(p *Packet) { p.Flood = true }), Drop, nil},
	} {
		out := Trace(c.Ruleset, test.p)
		if got := logged(c, out); out.Verdict != test.want || !slices.Equal(got, test.logs) {
			t.Errorf("%s: %s, logs %q, want %q", test.name, verdictText(Verdict{Kind: out.Verdict}), got, test.logs)
		}
	}
}

// Whatever policies say of ICMPv6, a pod and its host find each other.
func TestS23_PoliciesDoNotTouchDiscovery(t *testing.T) {
	w := smallWorld()
	w.policy("", "none", "", policy.Ingress, from(policy.Deny, "", policy.ICMPv6))
	w.policy("", "none-out", "", policy.Egress, icmp(toward(policy.Deny, "", policy.ICMPv6), 135, policy.AnyCode), toward(policy.Deny, "", 0))
	link := func(typ, hops byte, change func(*Packet)) Packet {
		p := with(w.message("fd00::2", "ff02::1", policy.ICMPv6, typ, 0), func(p *Packet) {
			p.IIF, p.HopLimit, p.State, p.ToHost = ifaceOf("a/x"), hops, StateUntracked, true
		})
		if change != nil {
			change(&p)
		}
		return p
	}
	var list []expect
	for _, typ := range []byte{133, 135, 136} {
		list = append(list,
			expect{fmt.Sprint("from the pod ", typ), link(typ, 255, nil), Accept, 0},
			expect{fmt.Sprint("routed from the pod ", typ), link(typ, 254, nil), Drop, 0})
	}
	for _, typ := range []byte{130, 131, 132, 143} {
		list = append(list, expect{fmt.Sprint("listeners ", typ), link(typ, 1, nil), Accept, 0})
	}
	for _, typ := range []byte{133, 134, 135, 136} {
		list = append(list, expect{fmt.Sprint("from the host ", typ), link(typ, 255, func(p *Packet) {
			p.ToHost, p.FromHost, p.IIF, p.OIF = false, true, "", ifaceOf("a/x")
		}), Accept, 0})
	}
	list = append(list,
		expect{"an advertisement of a router", link(134, 255, nil), Drop, IDRouter},
		expect{"a ping to the host", link(128, 64, func(p *Packet) { p.State = StateNew }), Drop, 0})
	w.check(t, list)
}
