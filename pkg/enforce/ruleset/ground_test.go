package ruleset

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// feedWorld is two pods, whose policies allow and deny what a large set holds.
func feedWorld(networks int) *world {
	w := newWorld()
	w.namespace("a")
	w.pod("a/x", "10.0.0.2", "app=x")
	w.pod("a/y", "10.0.0.3", "app=y")
	w.snap.NetworkSets = []*policy.NetworkSet{bigSet(networks, -1)}
	feed := policy.Entity{Selector: parse("feed == 'big'"), NamespaceSelector: selector.MustParse("global()")}
	w.policy("a", "allowing", "app == 'x'", policy.Ingress, policy.Rule{Action: policy.Allow, Source: feed})
	w.policy("a", "denying", "app == 'y'", policy.Egress, policy.Rule{Action: policy.Deny, Destination: feed}, policy.Rule{Action: policy.Allow})
	return w
}

// long are the sets with many elements.
func long(r *Ruleset) []*Set {
	return slices.DeleteFunc(slices.Clone(r.Sets), func(s *Set) bool { return len(s.Elements) < longList })
}

// Profiles share a large network set, and a network that goes is one element
// less in it.
func TestS18_LargeSetsAreInTheKernelOnce(t *testing.T) {
	w := feedWorld(100)
	in := w.input(nil)
	first := mustCompile(t, in, nil)
	before := long(first.Ruleset)
	if len(before) != 1 || len(before[0].Elements) != 100 || !strings.HasPrefix(before[0].Name, "net4-") {
		t.Fatalf("want one set of 100 networks:\n%s", Text(first.Ruleset))
	}
	w.snap.NetworkSets = []*policy.NetworkSet{bigSet(100, 50)}
	in = w.input(in.Model)
	second := mustCompile(t, in, first)
	after := long(second.Ruleset)
	if len(after) != 1 || after[0].Name != before[0].Name || len(after[0].Elements) != 99 {
		t.Fatalf("want the same set with one network less:\n%s", Text(second.Ruleset))
	}
	for i, c := range second.Ruleset.Chains {
		if first.Ruleset.Chains[i] != c {
			t.Errorf("chain %s was made anew", c.Name)
		}
	}
	w.check(t, []expect{
		{"in the set", w.packet(bigSet(100, -1).Nets[7].Addr().String(), "a/x", policy.UDP, 1), Accept, 0},
		{"to the set", w.packet("a/y", bigSet(100, -1).Nets[7].Addr().String(), policy.UDP, 1), Drop, 0},
		{"no longer in the set", w.packet(bigSet(100, -1).Nets[50].Addr().String(), "a/x", policy.UDP, 1), Drop, 0},
		{"no longer to the set", w.packet("a/y", bigSet(100, -1).Nets[50].Addr().String(), policy.UDP, 1), Accept, 0},
	})
}

// Prefixes nest: an address is in all that hold it, whichever is the smallest.
func TestS18_OverlappingSetsAllMatch(t *testing.T) {
	w := smallWorld()
	set := func(name string, list ...string) *policy.NetworkSet {
		return &policy.NetworkSet{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: name}, Labels: labelMap([]string{"set=" + name}), Nets: nets(list...)}
	}
	w.snap.NetworkSets = []*policy.NetworkSet{set("inner", "192.0.2.64/26"), set("outer", "192.0.2.0/24", "192.0.2.128/25")}
	for i, name := range []string{"inner", "outer"} {
		r := from(policy.Allow, "set == '"+name+"'", policy.TCP, single(uint16(1+i)))
		r.Source.NamespaceSelector = selector.MustParse("global()")
		w.policy("a", name, "app == 'x'", policy.Ingress, r)
	}
	w.policy("a", "net", "app == 'x'", policy.Ingress, policy.Rule{Action: policy.Allow, Protocol: policy.UDP, Source: policy.Entity{Nets: []netip.Prefix{netip.MustParsePrefix("192.0.2.96/27")}}})
	for _, test := range []struct {
		addr          string
		one, two, udp VerdictKind
	}{
		{"192.0.2.1", Drop, Accept, Drop}, {"192.0.2.64", Accept, Accept, Drop}, {"192.0.2.96", Accept, Accept, Accept},
		{"192.0.2.128", Drop, Accept, Drop}, {"192.0.3.0", Drop, Drop, Drop},
	} {
		w.check(t, []expect{
			{test.addr + " by the inner set", w.packet(test.addr, "a/x", policy.TCP, 1), test.one, 0},
			{test.addr + " by the outer set", w.packet(test.addr, "a/x", policy.TCP, 2), test.two, 0},
			{test.addr + " by the rule's net", w.packet(test.addr, "a/x", policy.UDP, 1), test.udp, 0},
		})
	}
}
