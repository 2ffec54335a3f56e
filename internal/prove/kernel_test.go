package prove

import (
	"flag"
	"strconv"
	"testing"

	"github.com/vishvananda/netlink"
	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/nft"
	"github.com/netpol-project/netpol/pkg/policy"
)

// kernelWorlds is how many worlds the third proof plays, at least.
const kernelWorlds = 200

// TestKernelAgreesWithOracle is the third proof: real packets between real
// network namespaces, through rules programmed into the real kernel, arrive
// exactly where the oracle says they may. Every world is changed once while
// its rules are in force.
func TestKernelAgreesWithOracle(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		atLeast(t, kernelWorlds/2) // each counts twice
		n := newNode(t)
		kernel, err := nft.Open(nft.Options{NetNS: n.host.FD()})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := kernel.Remove(); err != nil {
				t.Error(err)
			}
			_ = kernel.Close()
		}()
		worlds, attempts := 0, 0
		rapid.Check(t, func(rt *rapid.T) {
			before := atHome(Worlds().Draw(rt, "world"))
			after := atHome(Edited(before).Draw(rt, "edited"))
			services := drawSockets(rt, before)
			s := newSubject(rt, before, nil)
			rules := compileNode(rt, s, nil)
			attempts += n.play(rt, kernel, rules, services)
			rules = compileNode(rt, newSubject(rt, after, s), rules)
			attempts += n.play(rt, kernel, rules, services)
			worlds += 2
		})
		t.Logf("%d worlds, %d connection attempts", worlds, attempts)
	})
}

// atHome gives pods that took over another's address their own back: here
// slots do not move.
func atHome(w *World) *World {
	for i, p := range w.Pods {
		home := *p
		home.Addrs = nil
		for _, a := range p.Addrs {
			for _, own := range slotAddrs(p.number()) {
				if own.Is4() == a.Is4() {
					home.Addrs = append(home.Addrs, own)
				}
			}
		}
		w.Pods[i] = &home
	}
	return w
}

// atLeast raises the number of random cases for one test.
func atLeast(t *testing.T, cases int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	before := checks.Value.String()
	if now, err := strconv.Atoi(before); err == nil && now >= cases {
		return
	}
	if err := flag.Set("rapid.checks", strconv.Itoa(cases)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = flag.Set("rapid.checks", before) })
}

// drawSockets draws protocols and ports for connections.
func drawSockets(t *rapid.T, w *World) []Wire {
	var out []Wire
	for range 11 {
		v := gen{t}.wire(w)
		if !policy.Protocol(v.Protocol).HasTypes() {
			v.Port = max(1, v.Port)
		}
		out = append(out, v)
	}
	return append(out, Wire{Protocol: 6, Port: 80}) // for those that nothing else fits
}

// play programs the rules, makes every attempt there is and compares.
func (n *node) play(t *rapid.T, kernel *nft.Kernel, rules *nodeRules, services []Wire) int {
	if err := kernel.Apply(t.Context(), rules.compiled.Ruleset); err != nil {
		t.Fatalf("apply: %v\n\nThe world:\n%s", err, rules.Manifests())
	}
	if err := n.host.Do(func() error { return netlink.ConntrackTableFlush(netlink.ConntrackTable) }); err != nil {
		t.Fatalf("forget connections: %v", err)
	}
	shots := n.shots(rules, services)
	if err := n.fire(shots); err != nil {
		t.Fatalf("%v\n\nThe world:\n%s", err, rules.Manifests())
	}
	for _, s := range shots {
		if s.reached != s.expected {
			t.Fatalf("%s: arrived %v, want %v\n\nThe world:\n%s", s.what, s.reached, s.expected, rules.Manifests())
		}
	}
	return len(shots)
}

// wireOf is one that starts a connection of the protocol.
func wireOf(proto int) Wire {
	switch proto {
	case 1, 58:
		return Wire{Protocol: proto, Port: int(policy.EchoRequest(policy.Protocol(proto)))}
	}
	return Wire{Protocol: proto, Port: 80}
}

// TestNodeWithoutRulesLetsEverythingThrough: the node that the third proof
// plays on passes every attempt, or "blocked" there would mean nothing.
func TestNodeWithoutRulesLetsEverythingThrough(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		var shots []*shot
		for from := 1; from <= slots; from++ {
			for to := 1; to <= slots; to++ {
				for i, source := range slotAddrs(from) {
					for _, proto := range rawProtocols {
						if from != to && fits(source, proto) {
							shots = append(shots, &shot{from: n.pods[from], source: source, to: place(to), dest: slotAddrs(to)[i], Wire: wireOf(proto)})
						}
					}
				}
			}
			for i, source := range slotAddrs(from) {
				for _, proto := range rawProtocols {
					if fits(source, proto) {
						shots = append(shots, &shot{from: n.pods[from], source: source, to: "host", dest: hostAddrs[i], Wire: wireOf(proto)})
					}
				}
				shots = append(shots, &shot{from: n.pods[from], source: Outside[i*5], spoofed: true, to: place(from%slots + 1), dest: slotAddrs(from%slots + 1)[i], Wire: Wire{17, 53, 0}})
			}
		}
		for i, out := range Outside {
			if slotOf(out) > 0 {
				continue
			}
			shots = append(shots,
				&shot{from: n.outside, source: out, to: place(1), dest: slotAddrs(1)[i/5], Wire: Wire{6, 80, 0}},
				&shot{from: n.pods[2], source: slotAddrs(2)[i/5], to: "outside", dest: out, Wire: Wire{17, 80, 0}})
		}
		if err := n.fire(shots); err != nil {
			t.Fatal(err)
		}
		for _, s := range shots {
			if !s.reached {
				t.Errorf("%s to %s (%s), protocol %d: did not arrive", s.source, s.dest, s.to, s.Protocol)
			}
		}
		t.Logf("%d attempts", len(shots))
	})
}
