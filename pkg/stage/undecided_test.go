package stage

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// outsideWorld has network sets, a node and a host endpoint beside impactWorld.
func outsideWorld(policies ...*policy.Policy) *tier.Model {
	s := *impactWorld(policies...).Snapshot()
	s.NetworkSets = []*policy.NetworkSet{
		{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: "office"}, Labels: selector.Labels{"kind": "office"}, Nets: prefixes("192.0.2.0/24")},
		{Key: policy.Key{Kind: policy.KindNetworkSet, Namespace: "vote", Name: "partner"}, Labels: selector.Labels{"kind": "partner", "projectcalico.org/namespace": "vote"}, Nets: prefixes("198.51.100.0/24")},
		{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: "empty"}, Labels: selector.Labels{"kind": "empty"}},
		{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: "v6"}, Labels: selector.Labels{"kind": "v6"}, Nets: prefixes("2001:db8::/32")},
	}
	s.Nodes = []*policy.Node{{Name: "n1", Addrs: []netip.Addr{netip.MustParseAddr("10.9.0.1")}}}
	s.HostEndpoints = []*policy.HostEndpoint{{Name: "n1-eth0", Node: "n1", Labels: selector.Labels{"kind": "node"}, Addrs: s.Nodes[0].Addrs}}
	return tier.New(&s, nil)
}

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, t := range texts {
		out = append(out, netip.MustParsePrefix(t))
	}
	return out
}

// unaddressed is a flow of vote with somebody outside, as agents' metrics tell it:
// with an end of no address, or of a network set that is known by its name.
func unaddressed(dir policy.Direction, set string) flow.Flow {
	f := impactFlow("vote", "vote", 443, dir, 7)
	p := flow.Peer{Kind: flow.PeerNetwork}
	if set != "" {
		p.Kind = flow.PeerNetworkSet
		p.Workload.Namespace, p.Workload.Name, _ = strings.Cut(set, "/")
	}
	if dir == policy.Egress {
		f.Destination = p
	} else {
		f.Source = p
	}
	return f
}

func to(action policy.Action, e policy.Entity) policy.Rule {
	return policy.Rule{Action: action, Destination: e}
}

// What is judged where an address is not known: all that depends on it is
// undecided, and what does not is judged as usual.
func TestS28_FlowsOfUnknownAddresses(t *testing.T) {
	const staged, enforced = policy.KindStagedNetworkPolicy, policy.KindNetworkPolicy
	out := func(rules ...policy.Rule) *policy.Policy { return np(staged, "p", "vote", policy.Egress, rules...) }
	now := func(rules ...policy.Rule) *policy.Policy { return np(enforced, "p", "vote", policy.Egress, rules...) }
	allow := func(e policy.Entity) policy.Rule { return to(policy.Allow, e) }
	nets := func(n ...string) policy.Entity { return policy.Entity{Nets: prefixes(n...)} }
	sel := func(s, ns string) policy.Entity {
		e := policy.Entity{Selector: selector.MustParse(s)}
		if ns != "" {
			e.NamespaceSelector = selector.MustParse(ns)
		}
		return e
	}
	deleted := now()
	deleted.Key.Kind, deleted.StagedAction = staged, policy.StagedDelete
	only443 := allow(nets("203.0.113.0/24"))
	only443.Protocol, only443.Destination.Ports = policy.TCP, []policy.PortRange{{Min: 80, Max: 80}}
	both := prefixes("0.0.0.0/0", "::/0")
	const blocked, allowed, none, doubt, opens = "blocked", "allowed", "unchanged", "may be blocked", "may be allowed"
	for _, c := range []struct {
		name     string
		policies []*policy.Policy
		dir      policy.Direction
		set      string
		want     string
	}{
		{"nobody asks for the address", []*policy.Policy{out()}, policy.Egress, "", blocked},
		{"nobody asks for the address, and all is allowed", []*policy.Policy{out(allow(policy.Entity{}))}, policy.Egress, "", none},
		{"pods alone are asked for", []*policy.Policy{out(allow(sel("app == 'redis'", "")))}, policy.Egress, "", blocked},
		{"nets", []*policy.Policy{out(allow(nets("203.0.113.0/24")))}, policy.Egress, "", doubt},
		{"nets of ingress", []*policy.Policy{np(staged, "p", "vote", policy.Ingress, policy.Rule{Action: policy.Allow, Source: nets("203.0.113.0/24")})}, policy.Ingress, "", doubt},
		{"nets of the other direction", []*policy.Policy{np(staged, "p", "vote", policy.Ingress, policy.Rule{Action: policy.Allow, Source: nets("203.0.113.0/24")})}, policy.Egress, "", none},
		{"nets of another port", []*policy.Policy{out(only443)}, policy.Egress, "", blocked},
		{"nets of another pod", []*policy.Policy{np(staged, "p", "db", policy.Egress, allow(nets("203.0.113.0/24")))}, policy.Egress, "", none},
		{"S5: nets after a rule that decides for all", []*policy.Policy{out(allow(policy.Entity{}), to(policy.Deny, nets("203.0.113.0/24")))}, policy.Egress, "", none},
		{"S5: nets that are refused by name", []*policy.Policy{out(to(policy.Deny, nets("203.0.113.0/24")), allow(policy.Entity{}))}, policy.Egress, "", doubt},
		{"S5: refused by name or else by all", []*policy.Policy{out(to(policy.Deny, nets("203.0.113.0/24")))}, policy.Egress, "", blocked},
		{"S6: nets that pass, and a next tier that allows", []*policy.Policy{out(to(policy.Pass, nets("203.0.113.0/24")))}, policy.Egress, "", doubt},
		{"S17: notNets", []*policy.Policy{out(allow(policy.Entity{NotNets: prefixes("10.0.0.0/8")}))}, policy.Egress, "", doubt},
		{"S18: a global set by selector", []*policy.Policy{out(allow(sel("kind == 'office'", "global()")))}, policy.Egress, "", doubt},
		{"S18: a set of the own namespace", []*policy.Policy{out(allow(sel("kind == 'partner'", "")))}, policy.Egress, "", doubt},
		{"S18: sets of a namespace", []*policy.Policy{out(allow(sel("", "projectcalico.org/name == 'vote'")))}, policy.Egress, "", doubt},
		{"S16: no set has these labels", []*policy.Policy{out(allow(sel("kind == 'nothing'", "global()")))}, policy.Egress, "", blocked},
		{"S16: a node's address is none outside", []*policy.Policy{out(allow(sel("kind == 'node'", "global()")))}, policy.Egress, "", blocked},
		{"a pod's address is none outside", []*policy.Policy{out(allow(nets("10.0.0.1/32")))}, policy.Egress, "", blocked},
		{"S23: all of both families", []*policy.Policy{out(allow(policy.Entity{Nets: both[:1]}), allow(policy.Entity{Nets: both[1:]}))}, policy.Egress, "", none},
		{"S23: all of the family that the pod has", []*policy.Policy{out(allow(policy.Entity{Nets: both[:1]}))}, policy.Egress, "", none},
		{"S23: all of the other family", []*policy.Policy{out(allow(policy.Entity{Nets: both[1:]}))}, policy.Egress, "", blocked},

		{"S26: what is enforced asks, and nothing changes", []*policy.Policy{now(allow(nets("203.0.113.0/24"))), np(staged, "q", "vote", policy.Ingress)}, policy.Egress, "", none},
		{"S27: the same nets replaced", []*policy.Policy{now(allow(nets("203.0.113.0/24"))), out(allow(nets("203.0.113.0/24")))}, policy.Egress, "", none},
		{"S27: fewer nets", []*policy.Policy{now(allow(nets("203.0.113.0/24"))), out(allow(nets("203.0.113.0/25")))}, policy.Egress, "", doubt},
		{"S27: more nets", []*policy.Policy{now(allow(nets("203.0.113.0/25"))), out(allow(nets("203.0.113.0/24")))}, policy.Egress, "", opens},
		{"S27: other nets", []*policy.Policy{now(allow(nets("203.0.113.0/25"))), out(allow(nets("203.0.113.128/25")))}, policy.Egress, "", doubt},
		{"S27: deleted, and only some were allowed", []*policy.Policy{now(allow(nets("203.0.113.0/25"))), deleted}, policy.Egress, "", opens},
		{"S27: deleted, and none were allowed", []*policy.Policy{now(), deleted}, policy.Egress, "", allowed},

		{"S18: the named set is allowed", []*policy.Policy{out(allow(sel("kind == 'office'", "global()")))}, policy.Egress, "/office", none},
		{"S18: the named set is allowed by its net", []*policy.Policy{out(allow(nets("192.0.0.0/16")))}, policy.Egress, "/office", none},
		{"S18: another set is allowed", []*policy.Policy{out(allow(sel("kind == 'partner'", "")))}, policy.Egress, "/office", blocked},
		{"S18: the named set of a namespace is allowed", []*policy.Policy{out(allow(sel("kind == 'partner'", "")))}, policy.Egress, "vote/partner", none},
		{"S18: a part of the named set is allowed", []*policy.Policy{out(allow(nets("192.0.2.0/25")))}, policy.Egress, "/office", doubt},
		{"S18: nobody knows what the set held", []*policy.Policy{out(allow(sel("kind == 'office'", "global()")))}, policy.Egress, "/gone", doubt},
		{"S18: the set is empty now", []*policy.Policy{out(allow(nets("203.0.113.0/24")))}, policy.Egress, "/empty", doubt},
		{"S23: the set has no address of the pod's family now", []*policy.Policy{out(allow(nets("203.0.113.0/24")))}, policy.Egress, "/v6", doubt},
	} {
		r := Impact(outsideWorld(c.policies...), []flow.Flow{unaddressed(c.dir, c.set)}, tier.Pending())
		got := none
		switch {
		case len(r.Items) == 1:
			got = blocked
		case len(r.WouldAllow) == 1:
			got = allowed
		case len(r.MayBlock()) == 1:
			got = doubt
		case len(r.Undecided) == 1:
			got = opens
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s: %+v", c.name, got, c.want, r)
		}
		if n := r.Summary.Flows; n.WouldBlock+n.WouldAllow+n.Undecided > 1 || int(n.Undecided) != len(r.Undecided) {
			t.Errorf("%s: counted %+v", c.name, n)
		}
	}
}

// The reason names both sides, and the rule that may refuse.
func TestWhyAFlowIsUndecided(t *testing.T) {
	p := np(policy.KindStagedNetworkPolicy, "p", "vote", policy.Egress, to(policy.Allow, policy.Entity{Nets: prefixes("203.0.113.0/24")}))
	r := Impact(outsideWorld(p), []flow.Flow{unaddressed(policy.Egress, "")}, tier.Only(p.Key))
	if len(r.Undecided) != 1 || r.Summary.Connections.Undecided != 7 {
		t.Fatalf("got %+v", r)
	}
	it := r.Undecided[0]
	want := "the address outside is not known, and decides: unchanged for 203.0.113.0/24, blocked (end of tier sec: no rule of StagedNetworkPolicy vote/p or another policy decides) for any other address"
	if it.Reason != want {
		t.Errorf("%s\nwant %s", it.Reason, want)
	}
	if by := it.MayBeBlockedBy; by == nil || by.Name != "p" || it.BlockedBy != nil || it.Destination.String() != "network" {
		t.Errorf("got %+v", it)
	}
}

// S26: what is enforced is asked alone, for flows that nobody refused.
func TestRefusedOfUnknownAddresses(t *testing.T) {
	p := np(policy.KindNetworkPolicy, "p", "vote", policy.Egress, to(policy.Allow, policy.Entity{Nets: prefixes("203.0.113.0/24")}))
	f := unaddressed(policy.Egress, "")
	refused, unsure := Refused(outsideWorld(p), []flow.Flow{f}, tier.Pending())
	if len(refused) != 0 || len(unsure) != 1 || unsure[0].MayBeBlockedBy == nil || !strings.Contains(unsure[0].Reason, "allowed for 203.0.113.0/24, refused (end of tier sec") {
		t.Errorf("got %+v and %+v", refused, unsure)
	}
	f.Destination.Addr = netip.MustParseAddr("203.0.113.7")
	if refused, unsure = Refused(outsideWorld(p), []flow.Flow{f}, tier.Pending()); len(refused)+len(unsure) != 0 {
		t.Errorf("a known address: got %+v and %+v", refused, unsure)
	}
}

func TestReadinessWithUndecidedFlows(t *testing.T) {
	deny := stagedDeny(policy.Egress)
	ev := covered()
	ev.Policies, ev.Undecided = []policy.Key{deny.Key}, 2
	r := Assess(impactWorld(deny), tier.Only(deny.Key), ev)
	if r.Ready || !slices.Contains(r.Reasons, "2 flows of unknown address can't be judged") {
		t.Errorf("got %+v", r)
	}
}

func TestPreflightRefusesWhatItCantJudge(t *testing.T) {
	allow := func(n string) policy.Rule { return to(policy.Allow, policy.Entity{Nets: prefixes(n)}) }
	p := np(policy.KindStagedNetworkPolicy, "p", "vote", policy.Egress, allow("203.0.113.0/24"))
	now := np(policy.KindNetworkPolicy, "p", "vote", policy.Egress, allow("203.0.113.0/25"))
	flows := []flow.Flow{unaddressed(policy.Egress, "")}
	for name, c := range map[string]struct {
		policies []*policy.Policy
		refusals int
	}{"it may be blocked": {[]*policy.Policy{p}, 1}, "it may be allowed at most": {[]*policy.Policy{now, p}, 0}} {
		r := Preflight(outsideWorld(c.policies...), []policy.Key{p.Key}, Facts{Flows: flows})
		list := r.Refusals()
		if len(list) != c.refusals || len(r.Impact.Undecided) != 1 {
			t.Errorf("%s: got %+v, %+v", name, list, r.Impact)
		}
		for _, p := range list {
			if !p.Undecided || p.Class != ClassObserved || p.Fix != "" {
				t.Errorf("%s: got %+v", name, p)
			}
		}
	}
}

// Whatever the address was: what is said of a flow without one holds for it.
func TestS28_UndecidedIsWhatAnAddressDecides(t *testing.T) {
	nets := []string{"0.0.0.0/0", "10.0.0.0/8", "192.0.2.0/24", "192.0.2.128/25", "198.51.100.0/25", "203.0.113.7/32", "10.0.0.1/32", "10.9.0.1/32"}
	addrs := []string{"1.2.3.4", "10.1.2.3", "192.0.2.1", "192.0.2.200", "198.51.100.1", "198.51.100.200", "203.0.113.7", "203.0.113.8"}
	selectors := []string{"kind == 'office'", "kind == 'partner'", "kind == 'node'", "all()", "app == 'db'"}
	rapid.Check(t, func(t *rapid.T) {
		rule := func() policy.Rule {
			r := to(rapid.SampledFrom([]policy.Action{policy.Allow, policy.Deny, policy.Pass}).Draw(t, "action"), policy.Entity{})
			switch rapid.IntRange(0, 3).Draw(t, "criterion") {
			case 0:
				r.Destination.Nets = prefixes(rapid.SampledFrom(nets).Draw(t, "net"))
			case 1:
				r.Destination.NotNets = prefixes(rapid.SampledFrom(nets[1:]).Draw(t, "not net"))
			case 2:
				r.Destination.Selector = selector.MustParse(rapid.SampledFrom(selectors).Draw(t, "selector"))
				if rapid.Bool().Draw(t, "global") {
					r.Destination.NamespaceSelector = selector.MustParse("global()")
				}
			}
			return r
		}
		var policies []*policy.Policy
		for i := range rapid.IntRange(1, 4).Draw(t, "policies") {
			kind := rapid.SampledFrom([]policy.Kind{policy.KindStagedNetworkPolicy, policy.KindNetworkPolicy}).Draw(t, "kind")
			var rules []policy.Rule
			for range rapid.IntRange(0, 3).Draw(t, "rules") {
				rules = append(rules, rule())
			}
			p := np(kind, fmt.Sprint("p", i/2), "vote", policy.Egress, rules...)
			if !slices.ContainsFunc(policies, func(q *policy.Policy) bool { return q.Key == p.Key }) {
				policies = append(policies, p)
			}
		}
		m := outsideWorld(sortedPolicies(policies...)...)
		of := func(f flow.Flow) string {
			r := Impact(m, []flow.Flow{f}, tier.Pending())
			return fmt.Sprint(len(r.Items), len(r.WouldAllow), len(r.Undecided))
		}
		all := map[string]bool{}
		f := unaddressed(policy.Egress, "")
		for _, a := range addrs {
			f.Destination.Addr = netip.MustParseAddr(a)
			all[of(f)] = true
		}
		f.Destination.Addr = netip.Addr{}
		switch got := of(f); {
		case got == "0 0 1" && len(all) == 1:
			t.Fatalf("undecided, and the same for all addresses: %v", all)
		case got != "0 0 1" && (len(all) > 1 || !all[got]):
			t.Fatalf("%s, and by address %v", got, all)
		}
	})
}
