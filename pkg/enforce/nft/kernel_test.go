//go:build linux

package nft

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

const port = 8080

// Every kind of match and look-up that the vocabulary has, on packets: the
// rule in question is the only one that accepts.
func TestMatchesOnPackets(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		k := w.open(t, Options{})
		jump := ruleset.Verdict{Kind: ruleset.Jump, Chain: "yes"}
		to := ruleset.Verdict{Kind: ruleset.Goto, Chain: "yes"}
		tuple := []ruleset.Field{ruleset.SAddr4, ruleset.L4Proto, ruleset.DPort}
		set := func(s ruleset.Set, elements ...ruleset.Element) *ruleset.Set {
			s.Name, s.Elements = "s", elements
			return &s
		}
		boxes := func(last uint16) *ruleset.Set {
			return set(ruleset.Set{Fields: tuple, Interval: true, Map: true},
				ruleset.Element{Key: a4("10.0.0.0") + b1(6) + p2(1), KeyEnd: a4("10.0.255.255") + b1(6) + p2(65535), Verdict: drop},
				ruleset.Element{Key: a4("10.1.0.0") + b1(6) + p2(8000), KeyEnd: a4("10.1.0.255") + b1(6) + p2(last), Verdict: to})
		}
		vmap := func(s *ruleset.Set) ruleset.Rule {
			return ruleset.Rule{Matches: []ruleset.Match{isIPv4}, VMap: &ruleset.VMap{Fields: s.Fields, Map: "s"}}
		}
		ifnames := ruleset.Set{Fields: []ruleset.Field{ruleset.IIFName, ruleset.SAddr4}, Map: true}
		ports := ruleset.Set{Fields: []ruleset.Field{ruleset.DPort}, Interval: true}
		portMap := ruleset.Set{Fields: []ruleset.Field{ruleset.DPort}, Interval: true, Map: true}
		nets := ruleset.Set{Fields: []ruleset.Field{ruleset.SAddr4}, Interval: true}
		for _, c := range []struct {
			name string
			rule ruleset.Rule
			set  *ruleset.Set
			pass bool
		}{
			{"nothing", rule(ruleset.Verdict{}, isIPv4), nil, false},
			{"equal", rule(accept, isIPv4, is(ruleset.SAddr4, []byte(a4(client4)))), nil, true},
			{"equal of another", rule(accept, isIPv4, is(ruleset.SAddr4, []byte(a4(server4)))), nil, false},
			{"family is tested without being asked", rule(accept, is(ruleset.DAddr6, []byte(a6(server6)))), nil, false},
			{"not equal", rule(accept, isIPv4, ruleset.Match{Fields: []ruleset.Field{ruleset.DAddr4}, Op: ruleset.NotEqual, Value: []byte(a4(client4))}), nil, true},
			{"interface prefix", rule(accept, ruleset.Match{Fields: []ruleset.Field{ruleset.IIFName}, Op: ruleset.Prefix, Value: []byte("np-")}), nil, true},
			{"another interface prefix", rule(accept, ruleset.Match{Fields: []ruleset.Field{ruleset.OIFName}, Op: ruleset.Prefix, Value: []byte("nq-")}), nil, false},
			{"state new", rule(accept, ruleset.Match{Fields: []ruleset.Field{ruleset.CTState}, Op: ruleset.Any, Value: u32(ruleset.StateNew)}), nil, true},
			{"state invalid", rule(accept, ruleset.Match{Fields: []ruleset.Field{ruleset.CTState}, Op: ruleset.Any, Value: u32(ruleset.StateInvalid)}), nil, false},
			{"SYN without ACK", rule(accept, ruleset.Match{Fields: []ruleset.Field{ruleset.TCPFlags}, Op: ruleset.Masked, Value: []byte{2}, Mask: []byte{0x12}}), nil, true},
			{"ACK", rule(accept, ruleset.Match{Fields: []ruleset.Field{ruleset.TCPFlags}, Op: ruleset.Masked, Value: []byte{0x10}, Mask: []byte{0x10}}), nil, false},
			{"local address", rule(accept, is(ruleset.DAddrType, u32(2))), nil, false},
			{"unicast address", rule(accept, is(ruleset.DAddrType, u32(1))), nil, true},
			{"jump", rule(jump, isTCP), nil, true},
			{"goto", rule(to, isTCP), nil, true},
			{"source port not equal", rule(accept, isTCP, ruleset.Match{Fields: []ruleset.Field{ruleset.SPort}, Op: ruleset.NotEqual, Value: []byte{0, 1}}), nil, true},
			{"in a set", rule(accept, isIPv4, inSet("s", ruleset.SAddr4)), set(ruleset.Set{Fields: []ruleset.Field{ruleset.SAddr4}}, ruleset.Element{Key: a4(client4)}), true},
			{"not in a set", rule(accept, isIPv4, ruleset.Match{Fields: []ruleset.Field{ruleset.SAddr4}, Set: "s", Invert: true}), set(ruleset.Set{Fields: []ruleset.Field{ruleset.SAddr4}}, ruleset.Element{Key: a4(client4)}), false},
			{"in a set of nets", rule(accept, isIPv4, inSet("s", ruleset.SAddr4)), set(nets, ruleset.Element{Key: a4("10.1.0.0"), KeyEnd: a4("10.1.0.2")}), true},
			{"after a net", rule(accept, isIPv4, inSet("s", ruleset.SAddr4)), set(nets, ruleset.Element{Key: a4("10.1.0.0"), KeyEnd: a4("10.1.0.1")}), false},
			{"in a net up to the last address", rule(accept, isIPv4, inSet("s", ruleset.SAddr4)), set(nets, ruleset.Element{Key: a4("10.1.0.2"), KeyEnd: a4("255.255.255.255")}), true},
			{"in a port range", rule(accept, isTCP, inSet("s", ruleset.DPort)), set(ports, ruleset.Element{Key: p2(8080), KeyEnd: p2(8080)}), true},
			{"after a port range", rule(accept, isTCP, inSet("s", ruleset.DPort)), set(ports, ruleset.Element{Key: p2(1), KeyEnd: p2(8079)}), false},
			{"touching ranges, the second", ruleset.Rule{Matches: []ruleset.Match{isTCP}, VMap: &ruleset.VMap{Fields: portMap.Fields, Map: "s"}}, set(portMap,
				ruleset.Element{Key: p2(1), KeyEnd: p2(8079), Verdict: drop},
				ruleset.Element{Key: p2(8080), KeyEnd: p2(65535), Verdict: accept}), true},
			{"touching ranges, the first", ruleset.Rule{Matches: []ruleset.Match{isTCP}, VMap: &ruleset.VMap{Fields: portMap.Fields, Map: "s"}}, set(portMap,
				ruleset.Element{Key: p2(1), KeyEnd: p2(8080), Verdict: accept},
				ruleset.Element{Key: p2(8081), KeyEnd: p2(65535), Verdict: drop}), true},
			{"exact map", vmap(&ruleset.Set{Fields: tuple}), set(ruleset.Set{Fields: tuple, Map: true}, ruleset.Element{Key: a4(client4) + b1(6) + p2(port), Verdict: accept}), true},
			{"exact map, miss", vmap(&ruleset.Set{Fields: tuple}), set(ruleset.Set{Fields: tuple, Map: true}, ruleset.Element{Key: a4(client4) + b1(17) + p2(port), Verdict: accept}), false},
			{"box map", vmap(boxes(9000)), boxes(9000), true},
			{"box map, miss", vmap(boxes(8079)), boxes(8079), false},
			{"interface and address map", vmap(&ifnames), set(ifnames, ruleset.Element{Key: n16("np-client") + a4(client4), Verdict: jump}), true},
			{"state map in the machine's byte order", ruleset.Rule{VMap: &ruleset.VMap{Fields: []ruleset.Field{ruleset.CTState}, Map: "s"}}, set(ruleset.Set{Fields: []ruleset.Field{ruleset.CTState}, Map: true}, ruleset.Element{Key: string(u32(ruleset.StateNew)), Verdict: accept}), true},
		} {
			t.Run(c.name, func(t *testing.T) {
				rs := rules([]*ruleset.Chain{forwardChain(c.rule), chain("yes", rule(accept))})
				if c.set != nil {
					rs.Sets = append(rs.Sets, c.set)
				}
				apply(t, k, rs)
				w.want(t, port, c.pass)
			})
		}
		if failed := k.Stats().Failed; failed != 0 {
			t.Errorf("the kernel refused %d batches", failed)
		}
	})
}

func TestMatchesOnIPv6Packets(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server6, port)
		k := w.open(t, Options{})
		for _, c := range []struct {
			name string
			rule ruleset.Rule
			pass bool
		}{
			{"nothing", rule(ruleset.Verdict{}, isIPv6), false},
			{"addresses", rule(accept, isIPv6, is(ruleset.SAddr6, []byte(a6(client6))), is(ruleset.DAddr6, []byte(a6(server6)))), true},
			{"hop limit", rule(accept, isIPv6, is(ruleset.HopLimit, []byte{63})), true}, // forwarding took one
			{"IPv4 fields without a family test", rule(accept, ruleset.Match{Fields: []ruleset.Field{ruleset.SAddr4}, Op: ruleset.NotEqual, Value: []byte(a4(client4))}), false},
			{"in a set", rule(accept, isIPv6, isTCP, inSet("s6", ruleset.SAddr6, ruleset.DPort)), true},
		} {
			t.Run(c.name, func(t *testing.T) {
				apply(t, k, rules([]*ruleset.Chain{forwardChain(c.rule)}, &ruleset.Set{
					Name: "s6", Fields: []ruleset.Field{ruleset.SAddr6, ruleset.DPort}, Interval: true,
					Elements: []ruleset.Element{{Key: a6("fd01::") + p2(port), KeyEnd: a6("fd01::ffff") + p2(port)}},
				}))
				w.wantTo(t, server6, port, c.pass)
			})
		}
	})
}

// A change of elements is a small batch, whatever kind of set it is, and what
// it leaves is what was asked for.
func TestElementDiffs(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		for _, p := range []uint16{8080, 8081, 8082} {
			w.serve(t, server4, p)
		}
		k := w.open(t, Options{})
		single, double := []ruleset.Field{ruleset.DPort}, []ruleset.Field{ruleset.L4Proto, ruleset.DPort}
		for _, kind := range []struct {
			name     string
			fields   []ruleset.Field
			interval bool
			key      func(uint16) string
		}{
			{"hash", single, false, p2},
			{"concatenation", double, false, func(p uint16) string { return b1(6) + p2(p) }},
			{"interval", single, true, p2},
			{"boxes", double, true, func(p uint16) string { return b1(6) + p2(p) }},
		} {
			t.Run(kind.name, func(t *testing.T) {
				end := func(p uint16) string {
					if kind.interval {
						return kind.key(p)
					}
					return ""
				}
				element := func(from, to uint16, v ruleset.Verdict) ruleset.Element {
					return ruleset.Element{Key: kind.key(from), KeyEnd: end(to), Verdict: v}
				}
				shape := ruleset.Set{Name: "m-" + kind.name, Fields: kind.fields, Interval: kind.interval, Map: true}
				base := forwardChain(ruleset.Rule{Matches: []ruleset.Match{isTCP}, VMap: &ruleset.VMap{Fields: kind.fields, Map: shape.Name}})
				yes := chain("yes", rule(accept))
				state := func(elements ...ruleset.Element) *ruleset.Ruleset {
					s := shape
					s.Elements = elements
					return rules([]*ruleset.Chain{base, yes}, &s)
				}
				resyncs := k.Stats().Resyncs
				for i, step := range []struct {
					rs   *ruleset.Ruleset
					want [3]bool
				}{
					{state(element(8080, 8080, accept)), [3]bool{true, false, false}},
					{state(element(8080, 8080, accept), element(8081, 8081, accept), element(8082, 8082, drop)), [3]bool{true, true, false}},
					{state(element(8080, 8080, drop), element(8081, 8081, accept), element(8082, 8082, accept)), [3]bool{false, true, true}},
					{state(element(8080, 8080, ruleset.Verdict{Kind: ruleset.Goto, Chain: "yes"}), element(8082, 8082, accept)), [3]bool{true, false, true}},
					{state(element(8080, 8080, accept), element(8081, 8081, drop), element(8082, 8082, accept)), [3]bool{true, false, true}},
					{state(), [3]bool{}},
				} {
					apply(t, k, step.rs)
					for j, want := range step.want {
						w.want(t, uint16(8080+j), want)
						if t.Failed() {
							t.Fatalf("in step %d", i)
						}
					}
				}
				if n := k.Stats().Resyncs - resyncs; n > 1 || k.Stats().Failed > 0 {
					t.Errorf("%d rebuilds and %d refused batches, want changes in place", n, k.Stats().Failed)
				}
			})
		}
	})
}

// What shrinks or grows at one end is the same key with another end.
func TestIntervalsThatShrinkAndGrow(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		k := w.open(t, Options{})
		for _, fields := range [][]ruleset.Field{{ruleset.DPort}, {ruleset.L4Proto, ruleset.DPort}} {
			key := func(p uint16) string {
				if len(fields) == 2 {
					return b1(6) + p2(p)
				}
				return p2(p)
			}
			name := fmt.Sprintf("s%d", len(fields))
			base := forwardChain(rule(accept, isTCP, inSet(name, fields...)))
			for i, bounds := range [][]uint16{{8000, 8080}, {8000, 8079}, {8000, 9000}, {8080, 9000}, {8081, 9000}, {8000, 8040, 8041, 8080}, {8000, 8040, 8041, 8079}, {8000, 8080}} {
				var elements []ruleset.Element
				pass := false
				for j := 0; j < len(bounds); j += 2 {
					elements = append(elements, ruleset.Element{Key: key(bounds[j]), KeyEnd: key(bounds[j+1])})
					pass = pass || bounds[j] <= port && port <= bounds[j+1]
				}
				apply(t, k, rules([]*ruleset.Chain{base}, &ruleset.Set{Name: name, Fields: fields, Interval: true, Elements: elements}))
				w.want(t, port, pass)
				if t.Failed() {
					t.Fatalf("%d fields, step %d %v", len(fields), i, bounds)
				}
			}
		}
		if failed := k.Stats().Failed; failed != 0 {
			t.Errorf("the kernel refused %d batches", failed)
		}
	})
}

// Cut connections are dropped before anything else, for a time.
func TestS11_CutSet(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.serve(t, server4, port)
		k := w.open(t, Options{})
		fields := []ruleset.Field{ruleset.SAddr4, ruleset.DAddr4, ruleset.L4Proto, ruleset.DPort}
		base := forwardChain(rule(drop, isIPv4, inSet("cut4", fields...)), rule(accept, isTCP))
		cut := &ruleset.Set{Name: "cut4", Fields: fields, Timeout: true, External: true}
		key := a4(client4) + a4(server4) + b1(6) + p2(port)
		if err := k.AddCut("cut4", []string{key}, 1); err == nil {
			t.Error("a cut without a ruleset must fail")
		}
		apply(t, k, rules([]*ruleset.Chain{base}, cut))
		w.want(t, port, true)
		if err := k.AddCut("cut4", []string{key}, 1<<40); err != nil {
			t.Fatal(err)
		}
		w.want(t, port, false)
		// Neither a change nor a rebuild loses what was cut.
		other := *base
		other.Rules = append([]ruleset.Rule{rule(accept, established)}, base.Rules...)
		apply(t, k, rules([]*ruleset.Chain{&other}, cut))
		w.want(t, port, false)
		if err := k.Resync(t.Context(), rules([]*ruleset.Chain{base}, cut)); err != nil {
			t.Fatal(err)
		}
		w.want(t, port, false)
		if cuts, err := k.Cuts("cut4"); err != nil || len(cuts) != 1 || cuts[0].Key != key || cuts[0].Left <= 0 || cuts[0].Left > 1<<40 {
			t.Errorf("the set holds %v, %v", cuts, err)
		}
		for range 2 { // the second time there is none
			if err := k.RemoveCut("cut4", []string{key}); err != nil {
				t.Fatal(err)
			}
		}
		w.want(t, port, true)
		if cuts, err := k.Cuts("cut4"); err != nil || len(cuts) != 0 {
			t.Errorf("the empty set holds %v, %v", cuts, err)
		}
		if failed := k.Stats().Failed; failed != 0 {
			t.Errorf("%d batches count as failed", failed)
		}
		if err := k.AddCut("cut5", []string{key}, 1); err == nil {
			t.Error("an unknown set must fail")
		}
		if err := k.AddCut("cut4", []string{key[1:]}, 1); err == nil {
			t.Error("a short key must fail")
		}
	})
}

func addressNumber(n int) string {
	b := [4]byte{10, byte(100 + n>>16), byte(n >> 8), byte(n)}
	return netip.AddrFrom4(b).String()
}
