package ruleset

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

// differing lists the chains and sets that are not the same pointers.
func differing(old, now *Ruleset) (chains, sets []string) {
	had := map[any]bool{}
	for _, c := range old.Chains {
		had[c] = true
	}
	for _, s := range old.Sets {
		had[s] = true
	}
	for _, c := range now.Chains {
		if !had[c] {
			chains = append(chains, c.Name)
		}
	}
	for _, s := range now.Sets {
		if !had[s] {
			sets = append(sets, s.Name)
		}
	}
	return chains, sets
}

func TestNothingChangedSharesEverything(t *testing.T) {
	w := votes()
	in := w.input(nil)
	c := mustCompile(t, in, nil)
	next := mustCompile(t, in, c)
	if chains, sets := differing(c.Ruleset, next.Ruleset); len(chains)+len(sets) > 0 {
		t.Errorf("made again: chains %v, sets %v", chains, sets)
	}
	in = w.input(in.Model)
	if chains, sets := differing(c.Ruleset, mustCompile(t, in, next).Ruleset); len(chains)+len(sets) > 0 {
		t.Errorf("made again after an equal snapshot: chains %v, sets %v", chains, sets)
	}
}

// A new pod of a kind that is known adds plain elements and nothing else: an
// element with a jump or a rule makes the kernel check all its tables.
func TestNewPodAddsPlainElementsOnly(t *testing.T) {
	w := votes()
	in := w.input(nil)
	c := mustCompile(t, in, nil)
	w.pod("vote/worker2", "10.0.0.66 fd00::66", "app=worker")
	in = w.input(in.Model)
	next := mustCompile(t, in, c)
	chains, sets := differing(c.Ruleset, next.Ruleset)
	if len(chains) > 0 {
		t.Errorf("chains made again: %v", chains)
	}
	var want []string
	for _, s := range []string{"in-open%s", "in-vote-db-3c84-exact%s", "out-vote-worker-e0a0-pods%s", "pod-source%s", "self%s"} {
		want = append(want, fmt.Sprintf(s, "4"), fmt.Sprintf(s, "6"))
	}
	want = append(want, "pod-interfaces")
	slices.Sort(want)
	if !slices.Equal(sets, want) {
		t.Errorf("sets that changed: %v, want %v", sets, want)
	}
	for _, s := range next.Ruleset.Sets {
		if slices.Contains(sets, s.Name) && (s.Map || s.Interval) {
			t.Errorf("%s is not a plain set", s.Name)
		}
	}
}

func TestPolicyChangeTouchesItsProfileOnly(t *testing.T) {
	w := votes()
	in := w.input(nil)
	c := mustCompile(t, in, nil)
	p := *w.snap.Policies[0]
	p.Rules[policy.Ingress] = []policy.Rule{from(policy.Allow, "app == 'worker'", policy.TCP, single(5433))}
	w.snap.Policies[0] = &p
	in = w.input(in.Model)
	chains, sets := differing(c.Ruleset, mustCompile(t, in, c).Ruleset)
	for _, name := range slices.Concat(chains, sets) {
		if !strings.HasPrefix(name, "in-vote-db-3c84-") {
			t.Errorf("%s was made again", name)
		}
	}
	if len(sets) == 0 {
		t.Error("no set changed")
	}
}

// An id keeps its meaning when the policy that it stands for is gone, through
// a change of configuration, and through a renumbering of the model.
func TestIDsAreNeverReused(t *testing.T) {
	w := votes()
	in := w.input(nil)
	c := mustCompile(t, in, nil)
	type meaning struct {
		hit policy.Hit
		dir policy.Direction
	}
	was := map[uint32]meaning{}
	note := func(c *Compiled) {
		for id := firstHitID; ; id++ {
			hit, dir, ok := c.Hit(id)
			if !ok {
				return
			}
			if m, known := was[id]; known && m != (meaning{hit, dir}) {
				t.Fatalf("id %d was %v and is %v", id, m, hit)
			}
			was[id] = meaning{hit, dir}
		}
	}
	note(c)
	had := len(was)
	steps := []func(){
		func() { w.snap.Policies = w.snap.Policies[1:] },
		func() {
			w.policy("vote", "another", "", policy.Ingress, from(policy.Deny, "app == 'vote'", 0))
		},
		func() { w.cfg.DenyGroup++ },
		func() { // so many new endpoints at once and gone again that numbering starts over
			list := w.snap.Endpoints
			for i := range 5000 {
				w.remote(fmt.Sprintf("vote/tmp%d", i), "", fmt.Sprintf("n=%d", i))
			}
			in = w.input(in.Model)
			w.snap.Endpoints = list
		},
	}
	for _, step := range steps {
		step()
		in = w.input(in.Model)
		c = mustCompile(t, in, c)
		note(c)
		for id := range was {
			if _, _, ok := c.Hit(id); !ok {
				t.Fatalf("id %d is forgotten", id)
			}
		}
	}
	if len(was) <= had {
		t.Error("no id was added")
	}
	if in.Model.Epoch() == 0 {
		t.Error("the model was not renumbered, so the test shows less than it says")
	}
}

// A Compiled that something was compiled after already is compiled after from
// scratch: slow, and right.
func TestPrevUsedTwice(t *testing.T) {
	w := votes()
	in := w.input(nil)
	c := mustCompile(t, in, nil)
	w.snap.Policies = w.snap.Policies[1:]
	next := w.input(in.Model)
	first, second := mustCompile(t, next, c), mustCompile(t, next, c)
	if a, b := Text(first.Ruleset), Text(second.Ruleset); a != b {
		t.Errorf("first:\n%s\nsecond:\n%s", a, b)
	}
}

// A pod that many rules refuse, each by itself, and ranges of ports without
// number: maps take the place of sets.
func TestManyKindsBecomeMaps(t *testing.T) {
	w := newWorld()
	w.namespace("a")
	w.pod("a/x", "10.0.0.2", "app=x")
	for i := range 20 {
		w.remote(fmt.Sprintf("a/peer%02d", i), fmt.Sprintf("10.0.1.%d", i), fmt.Sprintf("n=%d", i))
		sel := fmt.Sprintf("n == '%d'", i)
		w.policy("a", fmt.Sprintf("p%02d", i), "app == 'x'", policy.Ingress,
			from(policy.Allow, sel, policy.UDP, policy.PortRange{Min: uint16(100 * i), Max: uint16(100*i + 9)}),
			from(policy.Deny, sel, policy.TCP, single(80)))
	}
	in := w.input(nil)
	c := mustCompile(t, in, nil)
	if err := wellFormed(c.Ruleset); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"-exact4-map", "-range4-map"} {
		if !slices.ContainsFunc(c.Ruleset.Sets, func(set *Set) bool { return strings.HasSuffix(set.Name, s) && set.Map && len(set.Elements) == 20 }) {
			t.Errorf("no map …%s of 20 elements:\n%s", s, Text(c.Ruleset))
		}
	}
	for i := range 20 {
		src := fmt.Sprintf("a/peer%02d", i)
		for port, want := range map[int]VerdictKind{100*i - 1: Drop, 100 * i: Accept, 100*i + 9: Accept, 100*i + 10: Drop} {
			if port < 0 {
				continue
			}
			if out := Trace(c.Ruleset, w.packet(src, "a/x", policy.UDP, uint16(port))); out.Verdict != want {
				t.Errorf("%s udp %d: %v, want %v", src, port, out, want)
			}
		}
		out := Trace(c.Ruleset, w.packet(src, "a/x", policy.TCP, 80))
		id, _ := ParseLogPrefix(out.Logs[0].Prefix)
		if hit, _, _ := c.Hit(id); hit.Policy.Name != fmt.Sprintf("p%02d", i) || hit.Rule != 1 {
			t.Errorf("%s tcp 80 is refused by %v", src, hit)
		}
	}
}
