package prove

import (
	"fmt"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// TestS31_UnknownIsClosedInTheRules: whatever the policies allow, a pod cannot
// use an address that is not its own, and an interface of a pod that nobody
// knows is shut.
func TestS31_UnknownIsClosedInTheRules(t *testing.T) {
	linkLocal := addresses("169.254.7.7", "fe80::7")
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		v := drawWires(t, w)[0]
		n := compileNode(t, newSubject(t, w, nil), nil)
		for _, e := range w.Ends() {
			sources := append([]netip.Addr{e.Addr}, linkLocal...)
			for _, source := range sources {
				if !source.IsValid() {
					continue
				}
				for _, iface := range n.interfaces() {
					n.closedBehind(t, iface, source, v)
				}
			}
		}
	})
}

// interfaces are those of all pods, and one that is nobody's.
func (n *nodeRules) interfaces() []string {
	out := []string{podInterfaces + "99"}
	for _, l := range n.in.Local {
		out = append(out, l.Interface)
	}
	return out
}

// closedBehind sends from an address through an interface to everywhere, and
// to the node itself, and expects nothing to pass unless the address is that
// of the interface's pod.
func (n *nodeRules) closedBehind(t fataler, iface string, source netip.Addr, v Wire) {
	t.Helper()
	for _, p := range n.Endpoints() {
		for _, a := range p.Addrs {
			if p.iface() == iface && a == source {
				return
			}
		}
	}
	if !fits(source, v.Protocol) || v.Protocol == 58 {
		return // which ICMPv6 passes between a pod and its host is S23's
	}
	for _, to := range n.Ends() {
		if !to.Addr.IsValid() || to.Addr.Is4() != source.Is4() {
			continue
		}
		p := packetOf(End{Addr: source}, to, v)
		p.IIF = iface
		n.check(t, expectation{packet: p, what: fmt.Sprintf("spoofed %s at %s to %s", source, iface, to)})
		p.OIF, p.ToHost = "", true
		n.check(t, expectation{packet: p, what: fmt.Sprintf("spoofed %s at %s to the node", source, iface)})
	}
}

// TestS12_PodAndItsHostInTheRules: what a pod sends to the node is judged by
// its egress.
func TestS12_PodAndItsHostInTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		services := drawWires(t, w)
		n := compileNode(t, newSubject(t, w, nil), nil)
		for _, e := range w.PodEnds() {
			for _, host := range hostAddrs {
				for _, v := range services {
					if !e.Addr.IsValid() || e.Addr.Is4() != host.Is4() || !fits(host, v.Protocol) {
						continue
					}
					want := n.expect(e, End{Addr: host}, v)
					want.packet.OIF, want.packet.ToHost = "", true
					want.what += " (the node)"
					n.check(t, want)
				}
			}
		}
	})
}

// TestS11_ConnectionsNotPacketsInTheRules: replies pass whatever the policies
// say, packets that belong to nothing do not.
func TestS11_ConnectionsNotPacketsInTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		v := drawWires(t, w)[0]
		n := compileNode(t, newSubject(t, w, nil), nil)
		n.connections(func(source, destination End) {
			if !fits(source.Addr, v.Protocol) {
				return
			}
			what := fmt.Sprintf("%s to %s, protocol %d", source, destination, v.Protocol)
			for state, accept := range map[uint32]bool{
				ruleset.StateEstablished: true, ruleset.StateRelated: true, ruleset.StateInvalid: false,
			} {
				p := packetOf(source, destination, v)
				p.State, p.TCPFlags = state, 16 // ACK
				n.check(t, expectation{packet: p, accept: accept, what: fmt.Sprintf("%s, state %d", what, state)})
			}
		})
	})
}
