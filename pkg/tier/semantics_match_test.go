package tier_test

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

func TestS14_WhoAPolicySelects(t *testing.T) {
	toAll := func(red, db, blue, plain string) map[string]string {
		return map[string]string{
			"in 192.0.2.7 > red/web tcp/1": red, "in 192.0.2.7 > red/db tcp/1": db,
			"in 192.0.2.7 > blue/web tcp/1": blue, "in 192.0.2.7 > blue/plain tcp/1": plain,
		}
	}
	check(t,
		scenario{name: "NetworkPolicy: its namespace and selector", resources: []string{namespaced("red", "p", "{selector: app == 'web'}")},
			want: toAll("Deny default/red.p:end", "Allow", "Allow", "Allow")},
		scenario{name: "NetworkPolicy without selector: all of its namespace", resources: []string{namespaced("blue", "p", "{}")},
			want: toAll("Allow", "Allow", "Deny default/blue.p:end", "Deny default/blue.p:end")},
		scenario{name: "GlobalNetworkPolicy: selector", resources: []string{global("p", "{selector: app == 'web'}")},
			want: toAll("Deny default/p:end", "Allow", "Deny default/p:end", "Allow")},
		scenario{name: "GlobalNetworkPolicy: selector and namespaceSelector",
			resources: []string{global("p", "{selector: has(app), namespaceSelector: team == 'blue'}")},
			want:      toAll("Allow", "Allow", "Deny default/p:end", "Allow")},
		scenario{name: "GlobalNetworkPolicy: namespaceSelector alone", resources: []string{global("p", "{namespaceSelector: team != 'blue'}")},
			want: toAll("Deny default/p:end", "Deny default/p:end", "Allow", "Allow")},
	)
}

func TestS15_LabelsThatAreAlwaysThere(t *testing.T) {
	blocked, free := "Deny default/p:end", "Allow"
	for selector, want := range map[string][2]string{ // red/web, blue/plain
		"selector: projectcalico.org/namespace == 'blue'":              {free, blocked},
		"selector: projectcalico.org/orchestrator == 'k8s'":            {blocked, blocked},
		"selector: projectcalico.org/serviceaccount == 'robot'":        {blocked, free},
		"namespaceSelector: projectcalico.org/name == 'red'":           {blocked, free},
		`namespaceSelector: "kubernetes.io/metadata.name in {'blue'}"`: {free, blocked},
	} {
		check(t, scenario{name: selector, resources: []string{global("p", "{"+selector+"}")}, want: map[string]string{
			"in 192.0.2.7 > red/web tcp/1": want[0], "in 192.0.2.7 > blue/plain tcp/1": want[1],
		}})
	}
}

// sources asks red/db about four peers: a neighbour, a pod of another
// namespace with the same label, one without labels, and an outsider.
func sources(neighbour, labelled, plain, outside bool) map[string]string {
	say := func(b bool) string {
		if b {
			return "Allow default/p:0"
		}
		return "Deny default/p:end"
	}
	return map[string]string{
		"in red/web > red/db tcp/80": say(neighbour), "in blue/web > red/db tcp/80": say(labelled),
		"in blue/plain > red/db tcp/80": say(plain), "in 192.0.2.7 > red/db tcp/80": say(outside),
	}
}

// inRed is sources for a NetworkPolicy of namespace red.
func inRed(neighbour, labelled, plain, outside bool) map[string]string {
	out := map[string]string{}
	for question, answer := range sources(neighbour, labelled, plain, outside) {
		if answer == "Allow default/p:0" {
			out[question] = "Allow default/red.p:0"
		} else {
			out[question] = "Deny default/red.p:end"
		}
	}
	return out
}

func TestS16_EntityScope(t *testing.T) {
	g := func(source string) []string {
		return []string{global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {"+source+"}}]}")}
	}
	n := func(source string) []string {
		return []string{namespaced("red", "p", "{selector: app == 'db', ingress: [{action: Allow, source: {"+source+"}}]}")}
	}
	check(t,
		scenario{name: "empty entity: anything (global)", resources: g(""), want: sources(true, true, true, true)},
		scenario{name: "empty entity: anything (namespaced)", resources: n(""), want: inRed(true, true, true, true)},
		scenario{name: "selector in a NetworkPolicy: own namespace", resources: n("selector: app == 'web'"), want: inRed(true, false, false, false)},
		scenario{name: "selector in a GlobalNetworkPolicy: everything", resources: g("selector: app == 'web'"), want: sources(true, true, false, false)},
		scenario{name: "selector all(): known endpoints (global)", resources: g("selector: all()"), want: sources(true, true, true, false)},
		scenario{name: "selector all(): own namespace (namespaced)", resources: n("selector: all()"), want: inRed(true, false, false, false)},
		scenario{name: "namespaceSelector: those namespaces", resources: n("namespaceSelector: team == 'blue'"), want: inRed(false, true, true, false)},
		scenario{name: "namespaceSelector and selector", resources: n("namespaceSelector: team == 'blue', selector: has(app)"), want: inRed(false, true, false, false)},
		scenario{name: "namespaceSelector all(): any namespaced endpoint", resources: n("namespaceSelector: all()"), want: inRed(true, true, true, false)},
		scenario{name: "namespaceSelector all() in a global policy", resources: g("namespaceSelector: all()"), want: sources(true, true, true, false)},
		scenario{name: "namespaceSelector global(): no pod", resources: n("namespaceSelector: global()"), want: inRed(false, false, false, false)},
		scenario{name: "nets alone in a NetworkPolicy are not scoped", resources: n("nets: [10.0.0.0/24, 192.0.2.0/24]"), want: inRed(true, true, true, true)},
	)
}

func TestS16_EntityScopeOfTheOwnSide(t *testing.T) {
	check(t, scenario{name: "destination of an ingress rule", resources: []string{
		global("p", "{ingress: [{action: Allow, destination: {selector: app == 'db', nets: [10.0.0.2/32]}}]}"),
	}, want: map[string]string{
		anyToDB:                          "Allow default/p:0",
		"in red/db > red/web tcp/80":     "Deny default/p:end",
		"in red/web/6 > red/db/6 tcp/80": "Deny default/p:end",
	}})
}

func TestS17_NotSelector(t *testing.T) {
	g := func(source string) []string {
		return []string{global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {"+source+"}}]}")}
	}
	n := func(source string) []string {
		return []string{namespaced("red", "p", "{selector: app == 'db', ingress: [{action: Allow, source: {"+source+"}}]}")}
	}
	check(t,
		scenario{name: "alone in a GlobalNetworkPolicy: any peer outside the set, external included",
			resources: g("notSelector: app == 'web'"), want: sources(false, false, true, true)},
		scenario{name: "with a positive selector: known endpoints only",
			resources: g("selector: all(), notSelector: app == 'web'"), want: sources(false, false, true, false)},
		scenario{name: "beside namespaceSelector: known endpoints of it only",
			resources: g("namespaceSelector: team == 'blue', notSelector: app == 'web'"), want: sources(false, false, true, false)},
		scenario{name: "in a NetworkPolicy: known endpoints of its namespace only",
			resources: n("notSelector: app == 'db'"), want: inRed(true, false, false, false)},
		scenario{name: "in a NetworkPolicy beside namespaceSelector",
			resources: n("namespaceSelector: all(), notSelector: app == 'web'"), want: inRed(false, false, true, false)},
	)
}

func TestS17_NegationsNegateTheWholeMatch(t *testing.T) {
	check(t,
		scenario{name: "notNets: in none of them", want: sources(false, true, true, false), resources: []string{
			global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {notNets: [10.0.0.0/30, 192.0.2.0/24]}}]}")}},
		scenario{name: "nets and notNets", want: sources(true, false, false, false), resources: []string{
			global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {nets: [10.0.0.0/24], notNets: [10.0.0.4/30]}}]}")}},
		scenario{name: "notPorts: none of them", resources: []string{
			global("p", "{ingress: [{action: Allow, protocol: TCP, destination: {notPorts: [80, '90:99']}}]}"),
		}, want: map[string]string{
			"in red/web > red/db tcp/80": "Deny default/p:end", "in red/web > red/db tcp/81": "Allow default/p:0",
			"in red/web > red/db tcp/99": "Deny default/p:end", "in red/web > red/db tcp/100": "Allow default/p:0",
			"in red/web > red/db udp/81": "Deny default/p:end",
		}},
		scenario{name: "notProtocol: any other", resources: []string{
			global("p", "{ingress: [{action: Allow, notProtocol: TCP}]}"),
		}, want: map[string]string{
			anyToDB: "Deny default/p:end", "in red/web > red/db udp/80": "Allow default/p:0",
			"in red/web > red/db icmp/0": "Allow default/p:0", "in red/web > red/db 47/0": "Allow default/p:0",
		}},
	)
}

func TestNets_MatchAddressesWhoeverOwnsThem(t *testing.T) {
	check(t,
		scenario{name: "pods and strangers alike", want: sources(true, false, false, true), resources: []string{
			global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {nets: [10.0.0.0/30, 192.0.2.7/32]}}]}")}},
		scenario{name: "with a selector both must hold", want: sources(true, false, false, false), resources: []string{
			global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {nets: [10.0.0.0/30, 192.0.2.7/32], selector: has(app)}}]}")}},
		scenario{name: "egress", resources: []string{
			global("p", "{egress: [{action: Allow, destination: {nets: [192.0.2.0/25, 10.0.0.5/32]}}]}"),
		}, want: map[string]string{
			"out red/web > 192.0.2.7 tcp/1":   "Allow default/p:0",
			"out red/web > 192.0.2.128 tcp/1": "Deny default/p:end",
			"out red/web > blue/web tcp/1":    "Allow default/p:0",
			"out red/web > red/db tcp/1":      "Deny default/p:end",
		}},
	)
}

func TestNets_WithoutAnAddressThePodsOwnCount(t *testing.T) {
	m := modelOf(t, global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {nets: [10.0.0.1/32]}}]}"))
	for id, want := range map[string]policy.Action{"red/web": policy.Allow, "blue/web": policy.Deny} {
		peer := tier.Peer{Endpoint: end(t, m, id).Endpoint}
		if v := m.Judge(tier.Enforced(), policy.Ingress, end(t, m, "red/db"), peer, policy.TCP, 80); v.Action != want {
			t.Errorf("%s: %s, want %s", id, answer(v), want)
		}
	}
}

func TestS22_ProtocolPortAndVersion(t *testing.T) {
	rule := func(criteria string) []string {
		return []string{global("p", "{ingress: [{action: Allow, "+criteria+"}]}")}
	}
	yes, no := "Allow default/p:0", "Deny default/p:end"
	check(t,
		scenario{name: "protocol by name", resources: rule("protocol: SCTP"), want: map[string]string{
			"in red/web > red/db sctp/80": yes, "in red/web > red/db tcp/80": no}},
		scenario{name: "protocol by number", resources: rule("protocol: 6, destination: {ports: [80]}"), want: map[string]string{
			"in red/web > red/db tcp/80": yes, "in red/web > red/db tcp/81": no, "in red/web > red/db udp/80": no}},
		scenario{name: "a protocol without a name", resources: rule("protocol: 47"), want: map[string]string{
			"in red/web > red/db 47/0": yes, "in red/web > red/db 48/0": no}},
		scenario{name: "ports and ranges are alternatives", resources: rule("protocol: UDP, destination: {ports: [53, '100:102']}"),
			want: map[string]string{
				"in red/web > red/db udp/53": yes, "in red/web > red/db udp/54": no, "in red/web > red/db udp/99": no,
				"in red/web > red/db udp/100": yes, "in red/web > red/db udp/102": yes, "in red/web > red/db udp/103": no}},
		scenario{name: "ipVersion 4", resources: rule("ipVersion: 4"), want: map[string]string{
			"in red/web > red/db tcp/80": yes, "in red/web/6 > red/db/6 tcp/80": no}},
		scenario{name: "ipVersion 6", resources: rule("ipVersion: 6"), want: map[string]string{
			"in red/web > red/db tcp/80": no, "in red/web/6 > red/db/6 tcp/80": yes}},
	)
}

func TestS23_NetsOfOneFamilyDoNotMatchTheOther(t *testing.T) {
	check(t,
		scenario{name: "IPv4 nets", resources: []string{global("p", "{ingress: [{action: Deny, source: {nets: [0.0.0.0/0]}}, {action: Allow}]}")},
			want: map[string]string{anyToDB: "Deny default/p:0", "in red/web/6 > red/db/6 tcp/80": "Allow default/p:1"}},
		scenario{name: "IPv6 nets", resources: []string{global("p", `{ingress: [{action: Deny, source: {nets: ["::/0"]}}, {action: Allow}]}`)},
			want: map[string]string{anyToDB: "Allow default/p:1", "in red/web/6 > red/db/6 tcp/80": "Deny default/p:0",
				"in 2001:db8::1 > red/db/6 tcp/80": "Deny default/p:0"}},
		scenario{name: "no nets: both", resources: []string{global("p", "{ingress: [{action: Deny}]}")},
			want: map[string]string{anyToDB: "Deny default/p:0", "in red/web/6 > red/db/6 tcp/80": "Deny default/p:0"}},
	)
}

func TestS26_StagedIsNeverEnforced(t *testing.T) {
	check(t, scenario{name: "neither its rules nor the end of its tier", want: map[string]string{anyToDB: "Allow", "out red/web > red/db tcp/1": "Allow"},
		resources: []string{
			stagedGlobal("p", "{types: [Ingress, Egress], ingress: [{action: Deny}]}"),
			stagedNamespaced("red", "q", "{types: [Ingress, Egress]}"),
		}})
}

func TestS27_Pending(t *testing.T) {
	allow := namespaced("red", "p", "{order: 1, selector: app == 'db', ingress: [{action: Allow}]}")
	pending := func(name, want string, resources ...string) scenario {
		return scenario{name: name, resources: append([]string{allow}, resources...), scope: tier.Pending(),
			want: map[string]string{anyToDB: want}}
	}
	deny := "order: 1, selector: app == 'db', ingress: [{action: Log}, {action: Deny}]"
	check(t,
		scenario{name: "enforced stays as it is", want: map[string]string{anyToDB: "Allow default/red.p:0"},
			resources: []string{allow, stagedNamespaced("red", "p", "{"+deny+"}")}},
		pending("Set replaces the one of its name", "Log default/red.p:0, Deny default/red.p:1", stagedNamespaced("red", "p", "{stagedAction: Set, "+deny+"}")),
		pending("Set is the default", "Log default/red.p:0, Deny default/red.p:1", stagedNamespaced("red", "p", "{"+deny+"}")),
		pending("Learn is judged like Set", "Log default/red.p:0, Deny default/red.p:1", stagedNamespaced("red", "p", "{stagedAction: Learn, "+deny+"}")),
		pending("replaced even where it no longer selects", "Allow", stagedNamespaced("red", "p", "{order: 1, selector: app == 'web', ingress: [{action: Deny}]}")),
		pending("replaced also from another tier", "Deny u/red.p:0", newTier("u", "{order: 2000000}"),
			stagedNamespaced("red", "p", "{tier: u, ingress: [{action: Deny}]}")),
		pending("added where there is none of its name", "Deny default/red.o:0", stagedNamespaced("red", "o", "{order: 1, ingress: [{action: Deny}]}")),
		pending("another namespace's name is another policy", "Allow default/red.p:0", stagedNamespaced("blue", "p", "{stagedAction: Delete}")),
		pending("another kind's name is another policy", "Allow default/red.p:0", stagedGlobal("p", "{stagedAction: Delete}")),
		pending("Delete removes", "Deny default/q:0", stagedNamespaced("red", "p", "{stagedAction: Delete}"),
			global("q", "{order: 2, ingress: [{action: Deny}]}")),
		pending("Delete of the only one opens", "Allow", stagedNamespaced("red", "p", "{stagedAction: Delete}")),
		pending("Ignore is absent", "Allow default/red.p:0", stagedNamespaced("red", "p", "{stagedAction: Ignore, "+deny+"}")),
		pending("a staged default deny arms the end of its tier", "Deny default/q:end",
			stagedNamespaced("red", "p", "{stagedAction: Delete}"), stagedGlobal("q", "{types: [Ingress]}")),
	)
}

func TestS28_OneStagedPolicyAlone(t *testing.T) {
	resources := []string{
		global("p", "{order: 1, ingress: [{action: Allow, protocol: TCP}]}"),
		stagedGlobal("p", "{order: 1, ingress: [{action: Allow, protocol: UDP}]}"),
		stagedGlobal("q", "{order: 0, ingress: [{action: Deny, protocol: UDP}]}"),
	}
	p := policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: "p"}
	q := policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: "q"}
	udp := "in red/web > red/db udp/80"
	check(t,
		scenario{name: "enforced", resources: resources, want: map[string]string{anyToDB: "Allow default/p:0", udp: "Deny default/p:end"}},
		scenario{name: "p alone", resources: resources, scope: tier.Only(p), want: map[string]string{anyToDB: "Deny default/p:end", udp: "Allow default/p:0"}},
		scenario{name: "q alone", resources: resources, scope: tier.Only(q), want: map[string]string{anyToDB: "Allow default/p:0", udp: "Deny default/q:0"}},
		scenario{name: "all", resources: resources, scope: tier.Pending(), want: map[string]string{anyToDB: "Deny default/p:end", udp: "Deny default/q:0"}},
	)
}
