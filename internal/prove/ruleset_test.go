package prove

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

const (
	podInterfaces = "np"
	uplink        = "uplink"
	denyGroup     = 1
	logGroup      = 2
)

var podCIDRs = prefixes("10.0.0.0/24", "fd00::/64")

// nodeRules is a world as one node enforces it.
type nodeRules struct {
	*subject
	in       ruleset.Input
	compiled *ruleset.Compiled
}

// compileNode compiles the rules of the node named "node"; prev are those
// before an edit, or nil. Where all pods are on the node it also owns all of
// the pods' addresses.
func compileNode(t fataler, s *subject, prev *nodeRules) *nodeRules {
	t.Helper()
	n := &nodeRules{subject: s, in: ruleset.Input{
		Model: s.model, Scope: tier.Enforced(),
		Config: ruleset.Config{InterfacePrefix: podInterfaces, Node: "node", LocalCIDRs: podCIDRs, DenyGroup: denyGroup, LogGroup: logGroup},
	}}
	for _, p := range s.Endpoints() {
		if p.Node != "node" {
			n.in.LocalCIDRs = nil
			continue
		}
		n.in.Local = append(n.in.Local, ruleset.Local{Endpoint: s.ends[p.ID()], Interface: p.iface()})
	}
	var before *ruleset.Compiled
	if prev != nil {
		before = prev.compiled
	}
	compiled, err := ruleset.Compile(n.in, before)
	if err != nil {
		t.Fatalf("compile: %v\n\nThe world:\n%s", err, s.Manifests())
	}
	n.compiled = compiled
	return n
}

// iface is the host's side of the pod's interface: p7 has np7.
func (p *Pod) iface() string { return podInterfaces + p.Name[1:] }

// spread moves some pods to another node.
func (w *World) spread(t *rapid.T) {
	for _, p := range w.Pods {
		if (gen{t}).eighths(1) {
			p.Node = "other"
		}
	}
}

// expectation is what the semantics say of one packet.
type expectation struct {
	packet ruleset.Packet
	accept bool
	// by and dir are what denied, where a policy did; logs the Log rules passed.
	by   *policy.Hit
	dir  policy.Direction
	logs []policy.Hit
	what string
}

// expect judges one new connection as the node sees it: the egress of its own
// source, then the ingress of its own destination (S10).
func (n *nodeRules) expect(source, destination End, v Wire) expectation {
	e := expectation{packet: packetOf(source, destination, v), accept: true,
		what: fmt.Sprintf("%s to %s, protocol %d, port %d, source port %d", source, destination, v.Protocol, v.Port, v.SourcePort)}
	if source.Pod != nil && source.Pod == destination.Pod {
		return e // S32
	}
	if destination.Pod == nil && n.closed(destination.Addr) {
		e.accept = false // S31: an address of the node's pods that is nobody's
		if source.Pod == nil || source.Pod.Node != "node" {
			return e
		}
	}
	judge := func(dir policy.Direction, local, peer End) {
		if local.Pod == nil || local.Pod.Node != "node" || e.by != nil {
			return
		}
		a := n.Judge(Scope{}, Packet{Direction: dir, Local: local, Peer: peer}.Over(v))
		e.logs = append(e.logs, a.Logs...)
		if a.Action != policy.Allow {
			e.accept, e.by, e.dir = false, &a.By, dir
		}
	}
	judge(policy.Egress, source, destination)
	judge(policy.Ingress, destination, source)
	return e
}

func (n *nodeRules) closed(a netip.Addr) bool {
	return slices.ContainsFunc(n.in.LocalCIDRs, func(p netip.Prefix) bool { return p.Contains(a) })
}

func packetOf(source, destination End, v Wire) ruleset.Packet {
	p := ruleset.Packet{
		IIF: interfaceOf(source), OIF: interfaceOf(destination), Src: source.Addr, Dst: destination.Addr,
		Protocol: policy.Protocol(v.Protocol), HopLimit: 63, State: ruleset.StateNew,
	}
	switch v.Protocol {
	case 6:
		p.TCPFlags = 2 // SYN
	}
	switch v.Protocol {
	case 1, 58:
		p.ICMPType, p.ICMPCode = policy.ICMPTypeCode(uint16(v.Port))
	case 6, 17, 132, 136:
		p.SPort, p.DPort = uint16(cmp.Or(v.SourcePort, tier.AssumedSourcePort)), uint16(v.Port)
	}
	return p
}

// interfaceOf is the interface behind which an end is.
func interfaceOf(e End) string {
	if e.Pod == nil || e.Pod.Node != "node" {
		return uplink
	}
	return e.Pod.iface()
}

// check runs one packet through the compiled rules.
func (n *nodeRules) check(t fataler, e expectation) {
	t.Helper()
	out := ruleset.Trace(n.compiled.Ruleset, e.packet)
	if (out.Verdict == ruleset.Accept) != e.accept {
		t.Fatalf("%s: accepted %v, want %v\npath %+v\npacket %+v\n\nThe world:\n%s",
			e.what, !e.accept, e.accept, out.Path, e.packet, n.Manifests())
	}
	denied, logs := n.attributed(t, out)
	if e.by != nil && (denied == nil || plain(*denied) != plain(*e.by)) {
		t.Fatalf("%s: denied by %+v, want %+v\npath %+v\n\nThe world:\n%s", e.what, denied, e.by, out.Path, n.Manifests())
	}
	if e.accept && denied != nil {
		t.Fatalf("%s: accepted, but logged as denied by %+v\n\nThe world:\n%s", e.what, denied, n.Manifests())
	}
	if !slices.EqualFunc(logs, e.logs, func(a, b policy.Hit) bool { return plain(a) == plain(b) }) {
		t.Fatalf("%s: Log rules %+v, want %+v\npath %+v\n\nThe world:\n%s", e.what, logs, e.logs, out.Path, n.Manifests())
	}
}

// attributed reads the ids that the packet was logged with.
func (n *nodeRules) attributed(t fataler, out ruleset.Outcome) (denied *policy.Hit, logs []policy.Hit) {
	t.Helper()
	for _, l := range out.Logs {
		id, ok := ruleset.ParseLogPrefix(l.Prefix)
		if !ok {
			t.Fatalf("log prefix %q is not one of ours", l.Prefix)
		}
		if _, _, reserved := ruleset.Reserved(id); reserved {
			continue
		}
		hit, _, ok := n.compiled.Hit(id)
		switch {
		case !ok:
			t.Fatalf("id %d of log prefix %q stands for nothing\n\nThe world:\n%s", id, l.Prefix, n.Manifests())
		case l.Group == denyGroup:
			denied = &hit
		default:
			logs = append(logs, hit)
		}
	}
	return denied, logs
}

// connections calls f for every two ends that can meet and of which one is a pod of
// the node.
func (n *nodeRules) connections(f func(source, destination End)) {
	for _, a := range n.Ends() {
		for _, b := range n.Ends() {
			local := a.Pod != nil && a.Pod.Node == "node" || b.Pod != nil && b.Pod.Node == "node"
			if local && a.Addr.IsValid() && b.Addr.IsValid() && a.Addr.Is4() == b.Addr.Is4() {
				f(a, b)
			}
		}
	}
}

// fits says whether a family can carry the protocol: ICMP is IPv4's.
func fits(a netip.Addr, proto int) bool {
	return proto != 1 && proto != 58 || a.Is4() == (proto == 1)
}

// TestTracerAgreesWithOracle is the second proof: what the node's rules do with
// packets is what the oracle says, for every pair of ends, and what they log
// names the rule that decided.
func TestTracerAgreesWithOracle(t *testing.T) {
	atLeast(t, 300)
	packets := 0
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		if rapid.Bool().Draw(t, "spread") {
			w.spread(t)
		}
		services := drawWires(t, w)
		n := compileNode(t, newSubject(t, w, nil), nil)
		n.checkAll(t, services, &packets)
	})
	t.Logf("%d packets traced", packets)
	if packets < 10_000 {
		t.Errorf("only %d packets", packets)
	}
}

func (n *nodeRules) checkAll(t fataler, services []Wire, packets *int) {
	t.Helper()
	n.connections(func(source, destination End) {
		for _, v := range services {
			if fits(source.Addr, v.Protocol) {
				*packets++
				n.check(t, n.expect(source, destination, v))
			}
		}
	})
}

// TestRulesAfterEditsEqualRulesFromScratch: what is taken over from the rules
// before must not change what becomes of any packet.
func TestRulesAfterEditsEqualRulesFromScratch(t *testing.T) {
	packets := 0
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		services := drawWires(t, w)[:3]
		s := newSubject(t, w, nil)
		n := compileNode(t, s, nil)
		for range 3 {
			w = Edited(w).Draw(t, "edited")
			s = newSubject(t, w, s)
			n = compileNode(t, s, n)
			n.checkAll(t, services, &packets)
		}
	})
	t.Logf("%d packets traced", packets)
}
