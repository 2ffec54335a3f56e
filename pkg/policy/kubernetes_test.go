package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

func ports(list ...policy.PortRange) policy.Entity { return policy.Entity{Ports: list} }

func TestS4_KubernetesNetworkPolicy(t *testing.T) {
	p := decodeOne[policy.Policy](t, `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: p, namespace: vote}
spec:
  podSelector: {matchLabels: {b: "2", a: "1"}, matchExpressions: [{key: c, operator: In, values: [y, x]}, {key: d, operator: NotIn, values: [z]}, {key: e, operator: Exists}, {key: f, operator: DoesNotExist}]}
`)
	if p.Kind != policy.KindKubernetesNetworkPolicy || p.Tier != "default" || p.Order != 1000 || p.Types != [2]bool{true, false} {
		t.Errorf("%+v", p)
	}
	if want := `a == "1" && b == "2" && c in {"x", "y"} && d not in {"z"} && has(e) && !has(f)`; p.Selector.String() != want {
		t.Errorf("%s", p.Selector)
	}
	if p := decodeOne[policy.Policy](t, kubernetes("policyTypes: [Egress]")); p.Selector != nil || p.Types != [2]bool{false, true} {
		t.Errorf("%+v", p)
	}
}

func TestS4_Types(t *testing.T) {
	for spec, want := range map[string][2]bool{
		"ingress: []":                    {true, false},
		"egress: []":                     {true, false},
		"egress: [{}]":                   {true, true},
		"policyTypes: []":                {true, false},
		"policyTypes: [Ingress]":         {true, false},
		"policyTypes: [Ingress, Egress]": {true, true},
	} {
		if p := decodeOne[policy.Policy](t, kubernetes(spec)); p.Types != want {
			t.Errorf("%q: %v", spec, p.Types)
		}
	}
}

func TestS4_Rules(t *testing.T) {
	// Network sets are no pods (S18).
	pods := selector.Eq("projectcalico.org/orchestrator", "k8s")
	a, b := selector.And(pods, selector.Eq("a", "1")), selector.And(pods, selector.Eq("b", "1"))
	for name, c := range map[string]struct {
		spec string
		want []policy.Rule
	}{
		"no rule":         {"ingress: []", nil},
		"anything":        {"ingress: [{}]", []policy.Rule{{}}},
		"empty lists":     {"ingress: [{from: [], ports: []}]", []policy.Rule{{}}},
		"own namespace":   {"ingress: [{from: [{podSelector: {matchLabels: {a: '1'}}}]}]", []policy.Rule{{Source: policy.Entity{Selector: a}}}},
		"all pods of it":  {"ingress: [{from: [{podSelector: {}}]}]", []policy.Rule{{Source: policy.Entity{Selector: pods}}}},
		"every namespace": {"ingress: [{from: [{namespaceSelector: {}}]}]", []policy.Rule{{Source: policy.Entity{NamespaceSelector: selector.All(), Selector: pods}}}},
		"both selectors": {"ingress: [{from: [{namespaceSelector: {matchLabels: {b: '1'}}, podSelector: {matchLabels: {a: '1'}}}]}]",
			[]policy.Rule{{Source: policy.Entity{NamespaceSelector: selector.Eq("b", "1"), Selector: a}}}},
		"ipBlock is masked": {"ingress: [{from: [{ipBlock: {cidr: 10.0.0.1/8, except: [10.1.0.0/16, 10.2.3.4/32]}}]}]",
			[]policy.Rule{{Source: policy.Entity{Nets: prefixes("10.0.0.0/8"), NotNets: prefixes("10.1.0.0/16", "10.2.3.4/32")}}}},
		"port without protocol is TCP": {"ingress: [{ports: [{port: 80}]}]",
			[]policy.Rule{{Protocol: policy.TCP, Destination: ports(policy.PortRange{Min: 80, Max: 80})}}},
		"protocol without port is all of it": {"ingress: [{ports: [{protocol: UDP}, {protocol: UDP, port: 5}]}]", []policy.Rule{{Protocol: policy.UDP}}},
		"empty port is all TCP":              {"ingress: [{ports: [{}]}]", []policy.Rule{{Protocol: policy.TCP}}},
		"endPort":                            {"ingress: [{ports: [{port: 80, endPort: 90}]}]", []policy.Rule{{Protocol: policy.TCP, Destination: ports(policy.PortRange{Min: 80, Max: 90})}}},
		"S21 ports by name": {"ingress: [{ports: [{port: web}, {port: 80}, {port: dns, protocol: UDP}]}]", []policy.Rule{
			{Protocol: policy.TCP, Destination: policy.Entity{Ports: []policy.PortRange{{Min: 80, Max: 80}}, NamedPorts: []string{"web"}}},
			{Protocol: policy.UDP, Destination: policy.Entity{NamedPorts: []string{"dns"}}}}},
		"all of it, also by name": {"ingress: [{ports: [{port: web}, {}, {port: 80}]}]", []policy.Rule{{Protocol: policy.TCP}}},
		"one a protocol and peer, ports merged": {
			"ingress: [{from: [{podSelector: {matchLabels: {a: '1'}}}, {podSelector: {matchLabels: {b: '1'}}}], ports: [{port: 53, protocol: UDP}, {port: 53}, {port: 80}]}]",
			[]policy.Rule{
				{Protocol: policy.UDP, Source: policy.Entity{Selector: a}, Destination: ports(policy.PortRange{Min: 53, Max: 53})},
				{Protocol: policy.UDP, Source: policy.Entity{Selector: b}, Destination: ports(policy.PortRange{Min: 53, Max: 53})},
				{Protocol: policy.TCP, Source: policy.Entity{Selector: a}, Destination: ports(policy.PortRange{Min: 53, Max: 53}, policy.PortRange{Min: 80, Max: 80})},
				{Protocol: policy.TCP, Source: policy.Entity{Selector: b}, Destination: ports(policy.PortRange{Min: 53, Max: 53}, policy.PortRange{Min: 80, Max: 80})},
			}},
	} {
		for i := range c.want {
			c.want[i].Action = policy.Allow
		}
		p := decodeOne[policy.Policy](t, kubernetes(c.spec))
		if diff := cmp.Diff(c.want, p.Rules[policy.Ingress], alike); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
	p := decodeOne[policy.Policy](t, kubernetes("egress: [{to: [{podSelector: {matchLabels: {a: '1'}}}], ports: [{port: 80}]}]"))
	want := []policy.Rule{{Action: policy.Allow, Protocol: policy.TCP, Destination: policy.Entity{Selector: a, Ports: []policy.PortRange{{Min: 80, Max: 80}}}}}
	if diff := cmp.Diff(want, p.Rules[policy.Egress], alike); diff != "" {
		t.Errorf("egress: (-want +got)\n%s", diff)
	}
}
