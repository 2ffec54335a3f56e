package tier_test

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Corners of rules where two of them meet.

// The staged action of every kind of staged policy, with an enforced policy of its
// name.
func TestS27_EveryKindAndAction(t *testing.T) {
	kinds := []struct {
		name, enforced string
		staged         func(action string) string
		set, end       string // what decides: a rule, or the end of the tier
	}{
		{"NetworkPolicy",
			namespaced("red", "p", "{ingress: [{action: Allow}]}"),
			func(a string) string {
				return stagedNamespaced("red", "p", spec(a, "ingress: [{action: Allow, protocol: UDP}]"))
			}, "Allow default/red.p:0", "Deny default/red.p:end"},
		{"GlobalNetworkPolicy",
			global("p", "{ingress: [{action: Allow}]}"),
			func(a string) string { return stagedGlobal("p", spec(a, "ingress: [{action: Allow, protocol: UDP}]")) },
			allowed, refused},
		{"KubernetesNetworkPolicy",
			kubernetes("red", "p", "{podSelector: {}, ingress: [{}]}"),
			func(a string) string {
				return v3("StagedKubernetesNetworkPolicy", "name: p, namespace: red", spec(a, "podSelector: {}, ingress: [{ports: [{protocol: UDP}]}]"))
			}, "Allow default/red.p:0", "Deny default/red.p:end"},
	}
	udp := "in red/web > red/db udp/80"
	for _, k := range kinds {
		for action, want := range map[string][2]string{ // udp, tcp
			"Set": {k.set, k.end}, "Learn": {k.set, k.end}, "Ignore": {k.set, k.set}, "Delete": {"Allow", "Allow"},
		} {
			check(t,
				scenario{name: k.name + " " + action, resources: []string{k.enforced, k.staged(action)}, scope: tier.Pending(),
					want: map[string]string{udp: want[0], anyToDB: want[1]}},
				scenario{name: k.name + " " + action + ", enforced", resources: []string{k.enforced, k.staged(action)},
					want: map[string]string{udp: k.set, anyToDB: k.set}},
			)
		}
	}
}

// spec is a staged policy's, which is empty where it deletes.
func spec(action, rest string) string {
	if action == "Delete" {
		return "{stagedAction: Delete}"
	}
	return "{stagedAction: " + action + ", " + rest + "}"
}

// A staged policy stands among the others as the kind that it becomes.
func TestS2_StagedCountsAsTheKindThatItBecomes(t *testing.T) {
	check(t, scenario{scope: tier.Pending(), resources: []string{
		namespaced("red", "p", "{order: 1000, ingress: [{action: Deny}]}"),
		v3("StagedKubernetesNetworkPolicy", "name: p, namespace: red", "{podSelector: {}, ingress: [{}]}"),
	}, want: map[string]string{anyToDB: "Allow default/red.p:0"}})
}

// Negations of one rule must all hold.
func TestS17_NegationsOfOneRule(t *testing.T) {
	check(t,
		scenario{name: "notNets and notPorts", resources: []string{
			global("p", "{selector: app == 'db', ingress: [{action: Allow, protocol: TCP, source: {notNets: [10.0.0.4/30]}, destination: {notPorts: [22]}}]}"),
		}, want: map[string]string{
			"in red/web > red/db tcp/80": allowed, "in red/web > red/db tcp/22": refused, "in blue/web > red/db tcp/80": refused,
			"in 192.0.2.7 > red/db tcp/80": allowed, "in red/web/6 > red/db/6 tcp/80": refused, // S23
		}},
		scenario{name: "ports and notPorts", resources: []string{
			global("p", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: ['80:90'], notPorts: [85]}}]}"),
		}, want: map[string]string{
			"in red/web > red/db tcp/84": allowed, "in red/web > red/db tcp/85": refused, "in red/web > red/db tcp/91": refused,
		}},
		scenario{name: "selector, notSelector and notNets", resources: []string{
			global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {selector: has(app), notSelector: projectcalico.org/namespace == 'blue', notNets: [10.0.0.2/32]}}]}"),
		}, want: sources(true, false, false, false)},
		scenario{name: "protocol and another notProtocol", resources: []string{
			global("p", "{ingress: [{action: Allow, protocol: TCP, notProtocol: UDP}]}"),
		}, want: map[string]string{"in red/web > red/db tcp/80": allowed, "in red/web > red/db udp/80": refused}},
		scenario{name: "protocol and the same notProtocol", resources: []string{
			global("p", "{ingress: [{action: Allow, protocol: TCP, notProtocol: TCP}]}"),
		}, want: map[string]string{"in red/web > red/db tcp/80": refused}},
		scenario{name: "bare notSelector with nets", resources: []string{
			global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {notSelector: app == 'web', nets: [10.0.0.0/29, 192.0.2.0/24]}}]}"),
		}, want: sources(false, false, true, true)},
		scenario{name: "bare notSelector in egress", resources: []string{
			global("p", "{egress: [{action: Allow, destination: {notSelector: app == 'web'}}]}"),
		}, want: map[string]string{
			"out red/db > red/web tcp/1": refused, "out red/db > blue/plain tcp/1": allowed, "out red/db > 192.0.2.7 tcp/1": allowed,
		}},
	)
}

// Selectors of namespaces see names of namespaces, those of pods see the pods'.
func TestS15_NamesOfNamespacesAndPods(t *testing.T) {
	labelled := "apiVersion: v1\nkind: Pod\nmetadata: {name: odd, namespace: blue, labels: {projectcalico.org/name: red, projectcalico.org/namespace: red, kubernetes.io/metadata.name: red}}\n" +
		"spec: {containers: [{name: c, image: i}]}\nstatus: {phase: Running, podIP: 10.0.0.7}\n"
	n := func(source string) []string {
		return []string{labelled, namespaced("red", "p", "{selector: app == 'db', ingress: [{action: Allow, source: {"+source+"}}]}")}
	}
	odd := func(s map[string]string, allows bool) map[string]string {
		s["in blue/odd > red/db tcp/80"] = "Deny default/red.p:end"
		if allows {
			s["in blue/odd > red/db tcp/80"] = "Allow default/red.p:0"
		}
		return s
	}
	check(t,
		scenario{name: "namespaceSelector by name", resources: n("namespaceSelector: projectcalico.org/name == 'red'"), want: odd(inRed(true, false, false, false), false)},
		scenario{name: "by Kubernetes' name", resources: n("namespaceSelector: \"kubernetes.io/metadata.name in {'red'}\""), want: odd(inRed(true, false, false, false), false)},
		scenario{name: "by a label of pods", resources: n("namespaceSelector: projectcalico.org/namespace == 'red'"), want: odd(inRed(false, false, false, false), false)},
		scenario{name: "not", resources: n("namespaceSelector: projectcalico.org/name != 'red'"), want: odd(inRed(false, true, true, false), true)},
		scenario{name: "a pod's namespace can't be forged", resources: n("namespaceSelector: all(), selector: projectcalico.org/namespace == 'red'"), want: odd(inRed(true, false, false, false), false)},
		scenario{name: "empty selectors ask for nothing", resources: n("namespaceSelector: '', selector: ''"), want: odd(inRed(true, true, true, true), true)},
		scenario{name: "an empty selector beside a namespaceSelector", resources: n("namespaceSelector: team == 'blue', selector: ''"), want: odd(inRed(false, true, true, false), true)},
	)
}

// A policy with doNotTrack or preDNAT is for host endpoints; one with
// applyOnForward alone is for pods too (S30).
func TestS30_PoliciesOfPods(t *testing.T) {
	for fields, want := range map[string]string{
		"applyOnForward: true":                   refused,
		"applyOnForward: true, preDNAT: true":    "Allow",
		"applyOnForward: true, doNotTrack: true": "Allow",
	} {
		check(t, scenario{name: fields, resources: []string{global("p", "{"+fields+", ingress: [{action: Deny, protocol: UDP}]}")},
			want: map[string]string{anyToDB: want}})
		check(t, scenario{name: fields + ", staged", resources: []string{stagedGlobal("p", "{"+fields+", ingress: [{action: Deny, protocol: UDP}]}")},
			scope: tier.Pending(), want: map[string]string{anyToDB: want}})
	}
	check(t, scenario{name: "staged preDNAT in the place of a policy for pods", resources: []string{
		global("p", "{ingress: [{action: Deny}]}"), stagedGlobal("p", "{applyOnForward: true, preDNAT: true, ingress: [{action: Deny}]}"),
	}, scope: tier.Pending(), want: map[string]string{anyToDB: "Allow"}})
}

// A ClusterNetworkPolicy speaks first in kube-admin, last in kube-baseline, and
// neither tier ends in deny (S1, S4).
func TestS4_ClusterPoliciesAmongOthers(t *testing.T) {
	cluster := func(name, tierName, priority, rules string) string {
		return "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: " + name + "}\nspec:\n  tier: " + tierName +
			"\n  priority: " + priority + "\n  subject: {namespaces: {matchLabels: {team: red}}}\n  ingress: [" + rules + "]\n"
	}
	pods := "from: [{namespaces: {}}]"
	check(t,
		scenario{name: "Accept before default", resources: []string{
			cluster("c", "Admin", "5", "{action: Accept, "+pods+"}"), namespaced("red", "p", "{}"),
		}, want: map[string]string{anyToDB: "Allow kube-admin/c:0", "in 192.0.2.7 > red/db tcp/80": "Deny default/red.p:end"}},
		scenario{name: "lower priority first, ties by name", resources: []string{
			cluster("a", "Admin", "5", "{action: Deny, "+pods+"}"), cluster("b", "Admin", "5", "{action: Accept, "+pods+"}"),
			cluster("z", "Admin", "4", "{action: Pass, from: [{namespaces: {matchLabels: {team: blue}}}]}"),
		}, want: map[string]string{anyToDB: "Deny kube-admin/a:0", "in blue/web > red/db tcp/80": "Allow"}},
		scenario{name: "baseline after default", resources: []string{
			cluster("c", "Baseline", "0", "{action: Deny, "+pods+"}"), kubernetes("red", "k", "{podSelector: {matchLabels: {app: db}}, ingress: [{}]}"),
		}, want: map[string]string{anyToDB: "Allow default/red.k:0", "in red/db > red/web tcp/80": "Deny kube-baseline/c:0", "in 192.0.2.7 > red/web tcp/80": "Allow"}},
	)
}

// Of endpoints with addresses of both families a rule with nets matches the one
// family only, whatever else it says.
func TestS23_DualStack(t *testing.T) {
	m := modelOf(t, global("p", "{selector: app == 'db', ingress: [{action: Deny, source: {selector: app == 'web', nets: ['fd00::/64']}}, {action: Allow, ipVersion: 4}]}"))
	for question, want := range map[string]string{
		"in red/web > red/db tcp/80": "Allow default/p:1", "in red/web/6 > red/db/6 tcp/80": "Deny default/p:0",
		"in blue/plain/6 > red/db/6 tcp/80": "Deny default/p:end",
	} {
		if got := ask(t, m, tier.Enforced(), question); got != want {
			t.Errorf("%s: got %q, want %q", question, got, want)
		}
	}
	// An address alone tells the family of the other end.
	v := m.Judge(tier.Enforced(), policy.Ingress, tier.Peer{Endpoint: end(t, m, "red/db").Endpoint}, end(t, m, "red/web/6"), policy.TCP, 80)
	if got := answer(v); got != "Deny default/p:0" {
		t.Errorf("got %q", got)
	}
}
