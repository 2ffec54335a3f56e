package policy_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// cnp is a ClusterNetworkPolicy; the spec given begins in line 5.
func cnp(spec string) string {
	return "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\nspec:\n" + indent(spec)
}

const cnpHead = "tier: Admin\npriority: 5\nsubject: {namespaces: {}}\n"

func TestS1_ClusterNetworkPolicy(t *testing.T) {
	p := decodeOne[policy.Policy](t, cnp("tier: Baseline\npriority: 0\nsubject: {pods: {namespaceSelector: {matchLabels: {a: b}}, podSelector: {matchLabels: {c: d}}}}"))
	if p.Tier != "kube-baseline" || p.Order != 0 || p.Types != [2]bool{} || p.Selector.String() != `c == "d"` || p.NamespaceSelector.String() != `a == "b"` {
		t.Errorf("%+v", p)
	}
	p = decodeOne[policy.Policy](t, cnp(cnpHead+"egress: [{action: Deny, to: [{namespaces: {}}]}]"))
	if p.Tier != "kube-admin" || p.Order != 5 || p.Types != [2]bool{false, true} || p.Selector != nil || !p.NamespaceSelector.All() || p.NamespaceSelector == nil {
		t.Errorf("it acts only where it has rules, on pods only: %+v", p)
	}
}

func TestClusterNetworkPolicyRules(t *testing.T) {
	pods := selector.Eq("projectcalico.org/orchestrator", "k8s")
	all := policy.Entity{NamespaceSelector: selector.All(), Selector: pods}
	rng := func(lo, hi uint16) policy.PortRange { return policy.PortRange{Min: lo, Max: hi} }
	for name, c := range map[string]struct {
		dir  policy.Direction
		rule string
		want []policy.Rule
	}{
		"Accept": {policy.Ingress, "{action: Accept, from: [{namespaces: {}}]}", []policy.Rule{{Action: policy.Allow, Source: all}}},
		"two peers": {policy.Ingress, "{name: x, action: Pass, from: [{namespaces: {}}, {pods: {namespaceSelector: {matchLabels: {a: b}}, podSelector: {matchLabels: {c: d}}}}]}", []policy.Rule{
			{Action: policy.Pass, Source: all},
			{Action: policy.Pass, Source: policy.Entity{NamespaceSelector: selector.Eq("a", "b"), Selector: selector.And(pods, selector.Eq("c", "d"))}}}},
		"S23 networks of both families": {policy.Egress, "{action: Deny, to: [{networks: ['2001:db8::/32', 10.0.0.1/8, 11.0.0.0/8]}]}", []policy.Rule{
			{Action: policy.Deny, Destination: policy.Entity{Nets: prefixes("10.0.0.0/8", "11.0.0.0/8")}},
			{Action: policy.Deny, Destination: policy.Entity{Nets: prefixes("2001:db8::/32")}}}},
		"protocols": {policy.Ingress, "{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 80}}}, {udp: {}}, {tcp: {destinationPort: {range: {start: 1, end: 9}}}}, {sctp: null, udp: {destinationPort: {number: 5}}}]}", []policy.Rule{
			{Action: policy.Deny, Protocol: policy.TCP, Source: all, Destination: policy.Entity{Ports: []policy.PortRange{rng(80, 80), rng(1, 9)}}},
			{Action: policy.Deny, Protocol: policy.UDP, Source: all}}},
		"S21 a port by name, of any protocol": {policy.Ingress, "{action: Accept, from: [{namespaces: {}}], protocols: [{destinationNamedPort: web}]}", []policy.Rule{
			{Action: policy.Allow, Protocol: policy.TCP, Source: all, Destination: policy.Entity{NamedPorts: []string{"web"}}},
			{Action: policy.Allow, Protocol: policy.UDP, Source: all, Destination: policy.Entity{NamedPorts: []string{"web"}}},
			{Action: policy.Allow, Protocol: policy.SCTP, Source: all, Destination: policy.Entity{NamedPorts: []string{"web"}}}}},
	} {
		field := [...]string{"ingress", "egress"}[c.dir]
		p := decodeOne[policy.Policy](t, cnp(cnpHead+field+":\n- "+c.rule))
		if diff := cmp.Diff(c.want, p.Rules[c.dir], alike); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		again, faults := policy.ValidateObject(policy.ToObject(p))
		want := *p
		want.Kind = policy.KindGlobalNetworkPolicy
		if diff := cmp.Diff(&want, again, alike, cmpopts.IgnoreFields(policy.Policy{}, "Origin")); diff != "" || len(faults) > 0 {
			t.Errorf("%s: as v3: %v (-want +got)\n%s", name, faults, diff)
		}
	}
}

// S4: of what can't be represented, Accept matches nothing, and Deny and Pass
// deny all that they could have matched.
func TestS4_FaultyClusterRules(t *testing.T) {
	pods := policy.Entity{NamespaceSelector: selector.All(), Selector: selector.Eq("projectcalico.org/orchestrator", "k8s")}
	tcp := policy.Entity{Ports: []policy.PortRange{{Min: 80, Max: 80}}}
	const port = "protocols: [{tcp: {destinationPort: {number: 80}}}]"
	for rule, want := range map[string][]policy.Rule{
		"{action: Accept, to: [{nodes: {}}]}":                                                                   {{Action: policy.Allow, Source: never, Faulty: true}},
		"{action: Accept, to: [{domainNames: [a.example]}, {namespaces: {}}]}":                                  {{Action: policy.Allow, Destination: pods}},
		"{action: Deny, to: [{nodes: {}}], " + port + "}":                                                       {{Action: policy.Deny, Protocol: policy.TCP, Destination: tcp}},
		"{action: Pass, to: [{namespaces: {}}, {domainNames: [a.b]}]}":                                          {{Action: policy.Deny}},
		"{action: Deny, to: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {number: 0}}}, {udp: {}}]}": {{Action: policy.Deny}},
		"{action: Accept, to: [{namespaces: {}}], protocols: [{icmp: {}}]}":                                     {{Action: policy.Allow, Source: never, Faulty: true}},
		"{action: Deny, to: [{networks: [10.0.0.0/8]}], protocols: [{destinationNamedPort: a}, {udp: {}}]}":     {{Action: policy.Deny}},
		"{action: Accept, to: [{}]}":                                                                            {{Action: policy.Allow, Source: never, Faulty: true}},
		"{action: Deny, to: []}":                                                                                {{Action: policy.Deny}},
		"{action: Allow, to: [{namespaces: {}}]}":                                                               {{Action: policy.Deny}},
		"{action: Deny, too: [{namespaces: {}}]}":                                                               {{Action: policy.Deny}},
		"null":                       {{Action: policy.Deny}},
		"{action: Deny, to: [null]}": {{Action: policy.Deny}},
		"{action: Deny, to: [{namespaces: {}}], protocols: [null]}": {{Action: policy.Deny}},
		"{action: Accept, to: [{namespaces: {}}, null]}":            {{Action: policy.Allow, Source: never, Faulty: true}},
		"{action: Accept, to: [{namespaces: {}}], ports: []}":       {{Action: policy.Allow, Source: never, Faulty: true}},
	} {
		res, faults := policy.Decode("f.yaml", []byte(cnp(cnpHead+"egress: ["+rule+"]")))
		if faults.Err() == nil {
			t.Errorf("%s: no error", rule)
		}
		if diff := cmp.Diff(want, res[0].Value.(*policy.Policy).Rules[policy.Egress], alike); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", rule, diff)
		}
	}
}

func TestS4_FaultyClusterPolicies(t *testing.T) {
	rules := "ingress: [{action: Accept, from: [{namespaces: {}}]}, {action: Deny, from: [{namespaces: {}}]}, {action: Pass, from: [{namespaces: {}}]}]\n"
	pods := policy.Entity{NamespaceSelector: selector.All(), Selector: selector.Eq("projectcalico.org/orchestrator", "k8s")}
	closed := []policy.Rule{{Action: policy.Allow, Source: never, Faulty: true}, {Action: policy.Deny, Source: pods}, {Action: policy.Deny, Source: pods}}
	for head, c := range map[string]struct {
		order float64
		gap   bool
	}{
		"tier: Adm\npriority: 5\nsubject: {namespaces: {}}":                            {5, false},
		"tier: Admin\npriority: 1001\nsubject: {namespaces: {}}":                       {math.Inf(-1), false},
		"tier: Admin\nsubject: {namespaces: {}}":                                       {math.Inf(-1), false},
		"tier: Admin\npriority: 5":                                                     {5, false},
		"tier: Admin\npriority: 5\nsubject: {}":                                        {5, false},
		"tier: Admin\npriority: 5\nsubject: {namespaces: {}, pods: {podSelector: {}}}": {5, false},
		"tier: Admin\npriority: 5\nsubject: {pods: {namespaceSelector: {}}}":           {5, false},
		"tier: Admin\npriority: 5\nsubject: {namespaces: {matchLabels: {a: 1}}}":       {5, false},
		"tier: Admin\npriority: 5\nsubject: {namespaces: {}}\negres: []":               {5, true},
		"tier: Admin\npriority: 5\nsubject: {namespaces: {}}\npriority: 6":             {math.Inf(-1), true},
	} {
		res, faults := policy.Decode("f.yaml", []byte(cnp(rules+head)))
		if faults.Err() == nil {
			t.Errorf("%q: no error", head)
		}
		p := res[0].Value.(*policy.Policy)
		want := closed
		if c.gap {
			want = append(closed[:3:3], policy.Rule{Action: policy.Deny})
		}
		if p.Tier != "kube-admin" || p.Order != c.order || p.Selector != nil || !p.NamespaceSelector.All() || p.Types != [2]bool{true, c.gap} {
			t.Errorf("%q: %+v", head, p)
		}
		if diff := cmp.Diff(want, p.Rules[policy.Ingress], alike); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", head, diff)
		}
	}
	res, _ := policy.Decode("f.yaml", []byte("apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: p}\nspek: {}\n"))
	if p := res[0].Value.(*policy.Policy); p.Types != [2]bool{true, true} || !cmp.Equal(p.Rules[0], []policy.Rule{{Action: policy.Deny}}, alike) {
		t.Errorf("%+v", p)
	}
}

func TestClusterNetworkPolicyFaults(t *testing.T) {
	long := func(item string, n int) string { return "[" + repeat(item, n) + "]" }
	for spec, parts := range map[string][]string{
		cnpHead + "ingress: " + long("{action: Deny, from: [{namespaces: {}}]}", 26):                                                        {"5:8: more than 25 rules"},
		cnpHead + "ingress: [{action: Deny, from: " + long("{namespaces: {}}", 26) + "}]":                                                   {"more than 25 peers"},
		cnpHead + "egress: [{action: Deny, to: [{networks: " + long("10.0.0.0/8", 26) + "}]}]":                                              {"more than 25 networks"},
		cnpHead + "egress: [{action: Deny, to: [{networks: [10.0.0.0]}]}]":                                                                  {"write 10.0.0.0/32"},
		cnpHead + "egress: [{action: Deny, to: [{nodes: {}}]}]":                                                                             {"spec.egress[0].to[0].nodes"},
		cnpHead + "ingress: [{action: Deny, from: [{networks: [10.0.0.0/8]}]}]":                                                             {"from[0].networks: there is no such field", "the peer is empty"},
		cnpHead + "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: []}]":                                                      {"protocols is empty"},
		cnpHead + "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {}, udp: {}}]}]":                                    {"tcp or udp, not both"},
		cnpHead + "ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{tcp: {destinationPort: {range: {start: 9, end: 9}}}}]}]": {"end must be after"},
		cnpHead + "ingress: [{action: Deny, name: " + strings.Repeat("a", 101) + ", from: [{namespaces: {}}]}]":                             {"at most 100"},
		cnpHead + "ingress: [{action: Allow, from: [{namespaces: {}}]}]":                                                                    {"write Accept"},
		"tier: Admin\npriority: x\nsubject: {namespaces: {}}":                                                                               {"spec.priority"},
		"{}": {"spec.tier", "spec.priority", "spec.subject"},
	} {
		_, faults := policy.Decode("f.yaml", []byte(cnp(spec)))
		if len(faults) != len(parts) {
			t.Errorf("%.80s: want %d faults:\n%v", spec, len(parts), faults)
		}
		for i, part := range parts {
			if at, rest, ok := strings.Cut(part, ": "); ok && strings.Contains(at, ":") {
				part = rest
			}
			if !strings.Contains(faults.Error(), part) {
				t.Errorf("%.80s: %d: %q is not in:\n%v", spec, i, part, faults)
			}
		}
		for _, f := range faults {
			if f.Code == "" || f.Origin.Line == 0 {
				t.Errorf("%.80s: %#v", spec, f)
			}
		}
	}
}

func TestStagedKubernetesNetworkPolicy(t *testing.T) {
	const head = "apiVersion: projectcalico.org/v3\nkind: StagedKubernetesNetworkPolicy\nmetadata: {name: p, namespace: vote}\nspec: "
	for _, spec := range []string{
		"{podSelector: {matchLabels: {a: b}, matchExpressions: [{key: c, operator: NotIn, values: [x]}, {key: d, operator: DoesNotExist}]}}",
		"{podSelector: {}, policyTypes: [Egress], stagedAction: Ignore}",
		"{stagedAction: Delete}",
		"{podSelector: {}, ingress: [{}, {from: [{podSelector: {}}, {namespaceSelector: {}}, {namespaceSelector: {matchLabels: {a: b}}, podSelector: {matchExpressions: [{key: e, operator: In, values: [x, y]}]}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}], ports: [{port: 80}, {port: web}, {port: 1, endPort: 9, protocol: UDP}, {protocol: SCTP}]}], egress: [{to: [{podSelector: {matchLabels: {a: b}}}]}]}",
	} {
		p := decodeOne[policy.Policy](t, head+spec)
		if p.Kind != policy.KindStagedKubernetesNetworkPolicy || p.Tier != "default" || p.Order != 1000 || p.StagedAction == "" {
			t.Errorf("%+v", p)
		}
		again, faults := policy.ValidateObject(policy.ToObject(p))
		if len(faults) > 0 {
			t.Fatalf("%s: %v", spec, faults)
		}
		if diff := cmp.Diff(p, again, alike, cmpopts.IgnoreFields(policy.Policy{}, "Origin")); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", spec, diff)
		}
	}
	for _, spec := range []string{"{podSelector: {a: b}}", "{stagedAction: Delete, policyTypes: [Egress]}", "{podSelector: {}, ingress: [{ports: [{port: 0}]}]}"} {
		res, faults := policy.Decode("f.yaml", []byte(head+spec))
		if len(faults) != 1 || res[0].Value != nil {
			t.Errorf("%s: %v", spec, faults)
		}
	}
}

func TestS20_Backends(t *testing.T) {
	docs := `{apiVersion: v1, kind: Service, metadata: {name: db, namespace: n}, spec: {selector: {app: db}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: ext, namespace: n}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: n, labels: {app: db}}, status: {podIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: n, labels: {app: web}}, status: {podIP: 10.0.0.2}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: db-x, namespace: n, labels: {kubernetes.io/service-name: db}}
addressType: IPv4
endpoints: [{addresses: [10.0.0.1]}, {addresses: [10.0.0.2], conditions: {ready: false}}, {addresses: [192.0.2.9]}]
ports: [{name: b, port: 8080}, {name: a, port: 53, protocol: UDP}]
---
apiVersion: v1
kind: Endpoints
metadata: {name: ext, namespace: n}
subsets: [{addresses: [{ip: 192.0.2.7}], notReadyAddresses: [{ip: '2001:db8::7'}], ports: [{port: 5432}]}, {addresses: [{ip: 192.0.2.7}], ports: [{port: 5433}]}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ext-x, namespace: n, labels: {kubernetes.io/service-name: ext}}
addressType: FQDN
endpoints: [{addresses: [a.example]}]
`
	dec := policy.NewDecoder()
	all, faults := dec.Decode("f.yaml", []byte(docs))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	s, faults := policy.NewSnapshot(1, all, nil)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	tcp := func(port uint16) policy.ContainerPort { return policy.ContainerPort{Protocol: policy.TCP, Port: port} }
	ports := []policy.ContainerPort{{Name: "b", Protocol: policy.TCP, Port: 8080}, {Name: "a", Protocol: policy.UDP, Port: 53}}
	for name, want := range map[string][]policy.Backend{
		"db":  {{Addr: addrs("10.0.0.2")[0], Ports: ports}, {Addr: addrs("192.0.2.9")[0], Ports: ports}},
		"ext": {{Addr: addrs("192.0.2.7")[0], Ports: []policy.ContainerPort{tcp(5432), tcp(5433)}}, {Addr: addrs("2001:db8::7")[0], Ports: []policy.ContainerPort{tcp(5432)}}},
	} {
		if diff := cmp.Diff(want, s.Service("n", name).Backends, alike); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
	pod := func(app string) policy.Resource {
		res, _ := dec.Decode("g.yaml", []byte(fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: x, namespace: n, labels: {app: %s}}, status: {podIP: 192.0.2.9}}", app)))
		return res[0]
	}
	same, _ := policy.NewSnapshot(2, append(all[:len(all):len(all)], pod("web")), s)
	if same.Service("n", "db") != s.Service("n", "db") || same.Service("n", "ext") != s.Service("n", "ext") {
		t.Error("backends are the same, so the Service must keep its pointer")
	}
	next, _ := policy.NewSnapshot(3, append(all[:len(all):len(all)], pod("db")), same)
	if got := next.Service("n", "db"); got == s.Service("n", "db") || len(got.Backends) != 1 {
		t.Errorf("a backend that is a pod's now: %+v", got)
	}
	if next.Service("n", "ext") != s.Service("n", "ext") {
		t.Error("the other Service must keep its pointer")
	}
	if last, _ := policy.NewSnapshot(4, all[:4], next); last.Service("n", "db").Backends != nil {
		t.Errorf("no slices: %+v", last.Service("n", "db"))
	}
}
