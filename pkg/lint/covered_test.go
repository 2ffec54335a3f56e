package lint_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// two is a policy with two ingress rules, of which the second may be covered.
func two(first, second string) string {
	return netpol("p", "selector: app == 'web'", "types: [Ingress]", "ingress:", "- {action: Allow"+first+"}", "- {action: Deny"+second+"}")
}

func TestCoveredInOnePolicy(t *testing.T) {
	yes := []string{"p spec.ingress[1]"}
	check(t, "covered", []testCase{
		{"everything", two("", ", protocol: TCP"), yes},
		{"the same", two(", protocol: TCP", ", protocol: TCP"), yes},
		{"another protocol", two(", protocol: TCP", ", protocol: UDP"), nil},
		{"any protocol is more", two(", protocol: TCP", ""), nil},
		{"notProtocol", two(", notProtocol: UDP", ", protocol: TCP"), yes},
		{"notProtocol excludes it", two(", notProtocol: UDP", ", protocol: UDP"), nil},
		{"ports in a range", two(", protocol: TCP, destination: {ports: ['80:90']}", ", protocol: TCP, destination: {ports: [80, '85:90']}"), yes},
		{"ports in adjoining ranges", two(", protocol: TCP, destination: {ports: ['80:85', '86:90']}", ", protocol: TCP, destination: {ports: ['82:88']}"), yes},
		{"a port outside", two(", protocol: TCP, destination: {ports: ['80:90']}", ", protocol: TCP, destination: {ports: [80, 91]}"), nil},
		{"no ports is more", two(", protocol: TCP, destination: {ports: ['80:90']}", ", protocol: TCP"), nil},
		{"notPorts", two(", protocol: TCP, destination: {notPorts: [80]}", ", protocol: TCP, destination: {ports: [81]}"), yes},
		{"notPorts excludes it", two(", protocol: TCP, destination: {notPorts: [80]}", ", protocol: TCP, destination: {ports: ['79:81']}"), nil},
		{"a name in ports", two(", protocol: TCP, destination: {ports: [http, 1]}", ", protocol: TCP, destination: {ports: [http]}"), yes},
		{"a name is no number", two(", protocol: TCP, destination: {ports: [80]}", ", protocol: TCP, destination: {ports: [http]}"), nil},
		{"source ports", two(", protocol: TCP, source: {ports: [80]}", ", protocol: TCP"), nil},
		{"nets", two(", source: {nets: [10.0.0.0/8]}", ", source: {nets: [10.1.0.0/16, 10.2.0.0/16]}"), yes},
		{"nets outside", two(", source: {nets: [10.0.0.0/8]}", ", source: {nets: [10.1.0.0/16, 11.0.0.0/16]}"), nil},
		{"nets of the other side", two(", destination: {nets: [10.0.0.0/8]}", ", source: {nets: [10.1.0.0/16]}"), nil},
		{"notNets", two(", source: {notNets: [10.0.0.0/8]}", ", source: {nets: [11.0.0.0/8]}"), yes},
		{"S23: notNets are of one family", two(", source: {notNets: [10.0.0.0/8]}", ", source: {nets: ['2001:db8::/32']}"), nil},
		{"S23: ipVersion", two(", ipVersion: 4", ", source: {nets: [10.0.0.0/8]}"), yes},
		{"ipVersion is less", two(", ipVersion: 4", ""), nil},
		{"icmp", two(", protocol: ICMP, icmp: {type: 8}", ", protocol: ICMP, icmp: {type: 8, code: 0}"), yes},
		{"icmp type is less", two(", protocol: ICMP, icmp: {type: 8, code: 0}", ", protocol: ICMP, icmp: {type: 8}"), nil},
		{"notICMP", two(", protocol: ICMP, notICMP: {type: 8}", ", protocol: ICMP, icmp: {type: 0}"), yes},
		{"selector", two(", source: {selector: \"app in {'a', 'b'}\"}", ", source: {selector: \"app == 'a' && x == 'y'\"}"), yes},
		{"wider selector", two(", source: {selector: app == 'a'}", ", source: {selector: \"app in {'a', 'b'}\"}"), nil},
		{"everyone of the namespace is not everyone", two(", source: {selector: all()}", ""), nil},
		{"all() of the namespace", two(", source: {selector: all()}", ", source: {selector: app == 'a'}"), yes},
		{"S16: own namespace and all of them", two(", source: {namespaceSelector: all()}", ", source: {selector: app == 'a'}"), yes},
		{"S16: another namespace", two(", source: {selector: app == 'a'}", ", source: {selector: app == 'a', namespaceSelector: all()}"), nil},
		{"S16: own namespace by its name", two(", source: {selector: all()}", ", source: {selector: app == 'a', namespaceSelector: kubernetes.io/metadata.name == 'shop'}"), yes},
		{"S18: global() is not all()", two(", source: {namespaceSelector: all()}", ", source: {namespaceSelector: global()}"), nil},
		{"notSelector", two(", source: {notSelector: app == 'b'}", ", source: {selector: app == 'a'}"), yes},
		{"S19: names", two(", source: {serviceAccounts: {names: [a, b]}}", ", source: {serviceAccounts: {names: [a]}}"), yes},
		{"S19: another name", two(", source: {serviceAccounts: {names: [a]}}", ", source: {serviceAccounts: {names: [a, b]}}"), nil},
		{"S20: service", two(", source: {services: {name: s}}", ", protocol: TCP, source: {services: {name: s}}"), yes},
		{"S20: another service", two(", source: {services: {name: s}}", ", source: {services: {name: s2}}"), nil},
		{"S24: http matches nothing here", two(", protocol: TCP, http: {methods: [GET]}", ", protocol: TCP"), nil},
		{"S7: log does not decide", netpol("p", "ingress: [{action: Log}, {action: Deny, protocol: TCP}]"), nil},
		{"S6: pass does", netpol("p", "ingress: [{action: Pass}, {action: Log, protocol: TCP}]"), yes},
		{"kubernetes", kube("p", "podSelector: {}", "ingress: [{from: [{podSelector: {}}]}, {from: [{podSelector: {matchLabels: {app: a}}}], ports: [{port: 1}, {port: 1, protocol: UDP}]}]"), []string{"p spec.ingress[1].from[0]"}},
	})
}

func TestCoveredByAnotherPolicy(t *testing.T) {
	narrow := netpol("q", "order: 2", "selector: app == 'web' && x == 'y'", "ingress: [{action: Allow, protocol: TCP}]")
	yes := []string{"q spec.ingress[0]"}
	check(t, "covered", []testCase{
		{"an earlier one selects more", netpol("p", "order: 1", "selector: app == 'web'", "ingress: [{action: Deny}]") + narrow, yes},
		{"a global one", global("p", "order: 1", "selector: app == 'web'", "ingress: [{action: Deny}]") + narrow, yes},
		{"a global one of the namespace", global("p", "order: 1", "namespaceSelector: projectcalico.org/name == 'shop'", "ingress: [{action: Deny}]") + narrow, yes},
		{"a global one by the namespace's label", global("p", "order: 1", "selector: projectcalico.org/namespace == 'shop'", "ingress: [{action: Deny}]") + narrow, yes},
		{"of other namespaces", global("p", "order: 1", "namespaceSelector: projectcalico.org/name == 'other'", "ingress: [{action: Deny}]") + narrow, nil},
		{"a later one", netpol("p", "order: 3", "ingress: [{action: Deny}]") + narrow, nil},
		{"it selects less", netpol("p", "order: 1", "selector: app == 'web' && x == 'z'", "ingress: [{action: Deny}]") + narrow, nil},
		{"another direction", netpol("p", "order: 1", "egress: [{action: Deny}]") + narrow, nil},
		{"another tier", tierDoc("t", "order: 1") + netpol("t.p", "tier: t", "order: 1", "ingress: [{action: Pass}]") + narrow, nil},
		{"another namespace", strings.ReplaceAll(netpol("p", "order: 1", "ingress: [{action: Deny}]"), "namespace: shop", "namespace: other") + narrow, nil},
		{"S26: a staged one does not cover an enforced one", staged(netpol("p", "order: 1", "ingress: [{action: Deny}]")) + narrow, nil},
		{"an enforced one covers a staged one", netpol("p", "order: 1", "ingress: [{action: Deny}]") + staged(narrow), yes},
		{"S27: not one that is replaced", netpol("p", "order: 1", "ingress: [{action: Deny}]") + staged(netpol("p", "order: 1", "ingress: [{action: Deny, protocol: UDP}]")) + staged(narrow), nil},
		{"only pods of an account", netpol("p", "order: 1", "serviceAccountSelector: a == 'b'", "ingress: [{action: Deny}]") + narrow, nil},
		{"policies of Kubernetes add up", kube("a", "podSelector: {}", "ingress: [{from: [{podSelector: {}}]}]") + kube("b", "podSelector: {}", "ingress: [{from: [{podSelector: {}}]}]"), nil},
		{"but can be in vain", netpol("p", "order: 1", "ingress: [{action: Deny}]") + kube("q", "podSelector: {}", "ingress: [{from: [{podSelector: {}}]}]"), []string{"q spec.ingress[0].from[0]"}},
	})
}

// TestCoveredIsCertain: of a rule that is said to be covered, the model never
// says that it decided, in random policies and for random connections.
func TestCoveredIsCertain(t *testing.T) {
	oneOf := func(list ...string) *rapid.Generator[string] { return rapid.SampledFrom(list) }
	side := func(t *rapid.T, ports bool) string {
		parts := []string{}
		if s := oneOf("", "", "selector: app == 'web'", "selector: app in {'web', 'db'}", "selector: all()", "notSelector: app == 'db'",
			"namespaceSelector: all()", "namespaceSelector: projectcalico.org/name == 'shop'", "namespaceSelector: global()",
			"selector: app == 'db', namespaceSelector: projectcalico.org/name != 'shop'").Draw(t, "who"); s != "" {
			parts = append(parts, s)
		}
		if s := oneOf("", "", "nets: [10.0.0.0/24]", "nets: [10.0.0.0/8]", "notNets: [10.0.0.0/24]").Draw(t, "nets"); s != "" {
			parts = append(parts, s)
		}
		if ports {
			if s := oneOf("", "ports: [80]", "ports: ['80:90']", "ports: [http]", "notPorts: [80]").Draw(t, "ports"); s != "" {
				parts = append(parts, s)
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	rule := func(t *rapid.T) string {
		ports := rapid.Bool().Draw(t, "tcp")
		protocol := ""
		if ports {
			protocol = ", protocol: TCP"
		}
		return fmt.Sprintf("- {action: %s%s, source: %s, destination: %s}", oneOf("Allow", "Deny", "Pass", "Log").Draw(t, "action"), protocol, side(t, false), side(t, ports))
	}
	rapid.Check(t, func(t *rapid.T) {
		docs := ""
		for _, e := range []struct{ namespace, name, app, ip string }{{"shop", "a", "web", "10.0.0.1"}, {"shop", "b", "db", "10.0.1.1"}, {"other", "c", "web", "10.0.0.2"}, {"other", "d", "db", "10.1.0.1"}} {
			docs += fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s, labels: {app: %s}}\nspec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}\nstatus: {podIP: %s}\n", e.name, e.namespace, e.app, e.ip)
		}
		docs += "---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: s, labels: {app: web}}\nspec: {nets: [10.0.1.0/24]}\n"
		for i := range rapid.IntRange(1, 3).Draw(t, "policies") {
			selector := oneOf("selector: all()", "selector: app == 'web'", "selector: app == 'db' || app == 'web'").Draw(t, "subject")
			spec := []string{selector, "types: [Ingress]", "ingress:"}
			for range rapid.IntRange(1, 3).Draw(t, "rules") {
				spec = append(spec, rule(t))
			}
			if rapid.Bool().Draw(t, "global") {
				docs += global(fmt.Sprintf("p%d", i), spec...)
			} else {
				docs += netpol(fmt.Sprintf("p%d", i), spec...)
			}
		}
		covered := map[policy.Hit]bool{}
		resources, faults := policy.Decode("f.yaml", []byte(docs))
		if faults.Err() != nil {
			t.Skip(faults)
		}
		snap, _ := policy.NewSnapshot(1, resources, nil)
		for _, f := range findIn(snap) {
			var i int
			if _, err := fmt.Sscanf(f.Field, "spec.ingress[%d]", &i); f.Code == "covered" && err == nil {
				covered[policy.Hit{Policy: f.Key, Rule: i}] = true
			}
		}
		if len(covered) == 0 {
			return
		}
		m := tier.New(snap, nil)
		peers := []tier.Peer{{Addr: netip.MustParseAddr("192.0.2.1")}, {Addr: netip.MustParseAddr("10.0.1.77")}, {Addr: netip.MustParseAddr("2001:db8::1")}}
		for _, ep := range snap.Endpoints {
			peers = append(peers, tier.Peer{Endpoint: ep})
		}
		for _, local := range snap.Endpoints {
			for _, peer := range peers {
				for _, port := range []uint16{1, 80, 85} {
					trace := m.Trace(tier.Enforced(), policy.Ingress, tier.Peer{Endpoint: local}, peer, policy.TCP, port)
					for step := range trace.Steps() {
						if step.Rule >= 0 && step.Failed == tier.Matched && covered[policy.Hit{Policy: step.Policy.Key, Rule: step.Rule}] {
							t.Fatalf("rule %d of %v is said to be covered and matches %s:%d from %v in\n%s", step.Rule, step.Policy.Key, local.ID(), port, peer, docs)
						}
					}
				}
			}
		}
	})
}
