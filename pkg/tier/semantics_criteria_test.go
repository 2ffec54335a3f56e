package tier_test

import (
	"fmt"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// accounts gives the service accounts of people labels.
const accounts = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: red, labels: {role: machine}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: default, namespace: blue, labels: {role: person}}
`

const allowed, refused = "Allow default/p:0", "Deny default/p:end"

func TestS14_ServiceAccountSelector(t *testing.T) {
	for spec, want := range map[string][3]bool{ // selected: red/web (robot), red/db (default), blue/web (default)
		"{serviceAccountSelector: role == 'machine'}":                         {true, false, false},
		"{serviceAccountSelector: has(role)}":                                 {true, false, true},
		"{serviceAccountSelector: role != 'machine'}":                         {false, true, true},
		"{serviceAccountSelector: has(role), selector: app == 'web'}":         {true, false, true},
		"{serviceAccountSelector: has(role), namespaceSelector: has(nobody)}": {false, false, false},
	} {
		answers := map[string]string{}
		for i, pod := range []string{"red/web", "red/db", "blue/web"} {
			answers["in 192.0.2.7 > "+pod+" tcp/1"] = "Allow"
			if want[i] {
				answers["in 192.0.2.7 > "+pod+" tcp/1"] = refused
			}
		}
		check(t, scenario{name: spec, resources: []string{accounts, global("p", spec)}, want: answers})
	}
}

func TestS19_ServiceAccounts(t *testing.T) {
	for source, want := range map[string][4]bool{ // red/web (robot), red/db (default), blue/web (default), outside
		"{serviceAccounts: {names: [robot]}}":                                            {true, false, false, false},
		"{serviceAccounts: {names: [robot, default]}}":                                   {true, true, true, false},
		"{serviceAccounts: {selector: role == 'machine'}}":                               {true, false, false, false},
		"{serviceAccounts: {selector: '!has(role)'}}":                                    {false, true, false, false},
		"{serviceAccounts: {names: [default], selector: has(role)}}":                     {false, false, true, false},
		"{serviceAccounts: {names: [default]}, selector: app == 'db'}":                   {false, true, false, false},
		"{serviceAccounts: {names: [default]}, notSelector: app == 'db'}":                {false, false, true, false},
		"{serviceAccounts: {names: [default]}, namespaceSelector: team == 'red'}":        {false, true, false, false},
		"{serviceAccounts: {names: [default]}, namespaceSelector: global()}":             {false, false, false, false},
		"{notSelector: app == 'db', serviceAccounts: {selector: 'role != \"machine\"'}}": {false, false, true, false},
	} {
		check(t, scenario{name: source,
			resources: []string{accounts, global("p", "{selector: '!has(app)', ingress: [{action: Allow, source: "+source+"}]}")},
			want:      peersOf("blue/plain", []string{"red/web", "red/db", "blue/web", "192.0.2.7"}, want[:])})
	}
	// In a NetworkPolicy without namespaceSelector: accounts of its own
	// namespace (S16).
	check(t, scenario{name: "own namespace", resources: []string{accounts,
		namespaced("blue", "p", "{selector: '!has(app)', ingress: [{action: Allow, source: {serviceAccounts: {names: [default]}}}]}")},
		want: map[string]string{
			"in red/db > blue/plain tcp/1": "Deny default/blue.p:end", "in blue/web > blue/plain tcp/1": "Allow default/blue.p:0",
		}})
}

// peersOf asks pod's ingress about sources.
func peersOf(pod string, sources []string, want []bool) map[string]string {
	out := map[string]string{}
	for i, s := range sources {
		out["in "+s+" > "+pod+" tcp/1"] = refused
		if want[i] {
			out["in "+s+" > "+pod+" tcp/1"] = allowed
		}
	}
	return out
}

func TestS22_ICMPTypeAndCode(t *testing.T) {
	rule := func(r string) []string { return []string{global("p", "{ingress: [{action: Allow, "+r+"}]}")} }
	check(t,
		scenario{name: "type", resources: rule("protocol: ICMP, icmp: {type: 8}"), want: map[string]string{
			"in 192.0.2.7 > red/db icmp/8:0": allowed, "in 192.0.2.7 > red/db icmp/8:7": allowed,
			"in 192.0.2.7 > red/db icmp/13:0": refused, "in 192.0.2.7 > red/db tcp/2048": refused,
			"in 2001:db8::7 > red/db/6 icmpv6/8:0": refused,
		}},
		scenario{name: "type and code", resources: rule("protocol: ICMP, icmp: {type: 3, code: 4}"), want: map[string]string{
			"in 192.0.2.7 > red/db icmp/3:4": allowed, "in 192.0.2.7 > red/db icmp/3:3": refused, "in 192.0.2.7 > red/db icmp/4:3": refused,
		}},
		scenario{name: "type 0 and code 0", resources: rule("protocol: ICMP, icmp: {type: 0, code: 0}"), want: map[string]string{
			"in 192.0.2.7 > red/db icmp/0:0": allowed, "in 192.0.2.7 > red/db icmp/0:1": refused,
		}},
		scenario{name: "notICMP negates both together", resources: rule("protocol: ICMPv6, notICMP: {type: 128, code: 0}"), want: map[string]string{
			"in 2001:db8::7 > red/db/6 icmpv6/128:0": refused, "in 2001:db8::7 > red/db/6 icmpv6/128:1": allowed,
			"in 2001:db8::7 > red/db/6 icmpv6/129:0": allowed, "in 2001:db8::7 > red/db/6 udp/1": refused,
		}},
		scenario{name: "both", resources: rule("protocol: ICMP, icmp: {type: 3}, notICMP: {type: 3, code: 1}"), want: map[string]string{
			"in 192.0.2.7 > red/db icmp/3:0": allowed, "in 192.0.2.7 > red/db icmp/3:1": refused, "in 192.0.2.7 > red/db icmp/8:0": refused,
		}},
	)
}

func TestS22_SourcePorts(t *testing.T) {
	check(t,
		scenario{name: "ports", resources: []string{global("p", "{ingress: [{action: Allow, protocol: UDP, source: {ports: [53, '100:200']}}]}")}, want: map[string]string{
			"in 192.0.2.7@53 > red/db udp/9": allowed, "in 192.0.2.7@150 > red/db udp/9": allowed, "in 192.0.2.7@54 > red/db udp/53": refused,
			"in 192.0.2.7@53 > red/db tcp/9": refused, "in 192.0.2.7 > red/db udp/9": refused,
		}},
		scenario{name: "notPorts", resources: []string{global("p", "{ingress: [{action: Allow, protocol: UDP, source: {notPorts: ['1:1023']}}]}")}, want: map[string]string{
			"in 192.0.2.7@53 > red/db udp/9": refused, "in 192.0.2.7@1024 > red/db udp/9": allowed, "in 192.0.2.7 > red/db udp/9": allowed,
		}},
		scenario{name: "egress", resources: []string{global("p", "{egress: [{action: Allow, protocol: TCP, source: {ports: [7]}, destination: {ports: [80]}}]}")}, want: map[string]string{
			"out red/db@7 > 192.0.2.7 tcp/80": allowed, "out red/db@8 > 192.0.2.7 tcp/80": refused, "out red/db@7 > 192.0.2.7 tcp/81": refused,
		}},
	)
}

// A name that only pods that are gone declared stands for no port: a model that
// follows another one tells source ports apart as one that is made from nothing.
func TestS22_SourcePortsOfPodsThatAreGone(t *testing.T) {
	named := global("p", "{ingress: [{action: Deny, protocol: TCP, source: {ports: [80, alt]}}, {action: Allow}]}")
	pod := func(name, port string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", namespace: red}\n" +
			"spec: {containers: [{name: c, image: i, ports: [{name: " + port + ", containerPort: 7}]}]}\nstatus: {phase: Running}\n"
	}
	before := snapshotOf(t, nil, named, pod("one", "alt"), pod("two", "other"))
	former := tier.New(before, nil)
	after := snapshotOf(t, before, named, pod("two", "other"))
	classes := func(m *tier.Model) string {
		return fmt.Sprint(m.SourcePorts(tier.Enforced(), policy.Ingress, m.Snapshot().EndpointsIn("red")[0]))
	}
	got, want := classes(tier.New(after, former)), classes(tier.New(after, nil))
	if got != want || want == classes(former) {
		t.Errorf("after %s: %s, want %s", classes(former), got, want)
	}
}

func TestS24_HTTPIsNeverWidened(t *testing.T) {
	check(t, scenario{resources: []string{global("p", "{ingress: [{action: Allow, protocol: TCP, destination: {ports: [80]}, http: {methods: [GET]}}]}")}, want: map[string]string{
		"in 192.0.2.7 > red/db tcp/80": refused,
	}})
}

func TestS22_UDPLiteHasNoPortsInRules(t *testing.T) {
	check(t, scenario{resources: []string{global("p", "{ingress: [{action: Allow, protocol: UDPLite}]}")}, want: map[string]string{
		"in 192.0.2.7 > red/db udplite/80": allowed, "in 192.0.2.7 > red/db 136/0": allowed, "in 192.0.2.7 > red/db udp/80": refused,
	}})
}

// A Service is served on ports, which ICMP has none of: such a rule never
// matches, and explain says why.
func TestS20_NoServiceTakesICMP(t *testing.T) {
	m := modelOf(t, shop, global("p", "{egress: [{action: Allow, protocol: ICMP, icmp: {type: 8}, destination: {services: {name: shop, namespace: blue}}}]}"))
	from, to := end(t, m, "red/db"), end(t, m, "blue/shop")
	e := m.Explain(tier.Enforced(), policy.Egress, from, to, policy.ICMP, policy.EchoRequest(policy.ICMP))
	if e.Verdict.Action != policy.Deny {
		t.Errorf("verdict %s", e.Verdict.Action)
	}
	if got := e.Tiers[0].Policies[0].Rules[0].Failed; got != "destination.services" {
		t.Errorf("it failed by %q, want destination.services", got)
	}
}

// Pods that have no address yet may get one of either family: ICMPv6 between
// them is IPv6.
func TestS22_VersionOfPodsWithoutAddresses(t *testing.T) {
	const unborn = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: later, namespace: red}
spec: {template: {metadata: {labels: {app: later}}, spec: {containers: [{name: main, image: main}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: soon, namespace: red}
spec: {template: {metadata: {labels: {app: soon}}, spec: {containers: [{name: main, image: main}]}}}
`
	m := modelOf(t, unborn, global("p", "{selector: app == 'soon', ingress: [{action: Allow, ipVersion: 6, protocol: ICMPv6}, {action: Allow, ipVersion: 6, protocol: TCP}, {action: Allow, ipVersion: 4, protocol: UDP}]}"))
	from, to := tier.Peer{Endpoint: m.Snapshot().Endpoint("red", "later")}, tier.Peer{Endpoint: m.Snapshot().Endpoint("red", "soon")}
	pair := m.Pair(tier.Enforced(), policy.Ingress, to, from)
	for proto, want := range map[policy.Protocol]policy.Action{policy.ICMPv6: policy.Allow, policy.TCP: policy.Deny, policy.UDP: policy.Allow} {
		port := policy.EchoRequest(policy.ICMPv6)
		if got := m.Judge(tier.Enforced(), policy.Ingress, to, from, proto, port).Action; got != want {
			t.Errorf("%s: %s, want %s", proto, got, want)
		}
		if got := pair.Judge(proto, port).Action; got != want {
			t.Errorf("%s of the pair: %s, want %s", proto, got, want)
		}
		pair.JudgePorts(proto, []uint16{1, 2, 3, 4, 5, port}, func(_ int, v tier.Verdict) {
			if v.Action != want {
				t.Errorf("%s among many ports: %s, want %s", proto, v.Action, want)
			}
		})
	}
}
