package policy_test

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// faulty decodes a policy that must have faults.
func faulty(t *testing.T, kind, spec string) *policy.Policy {
	t.Helper()
	res, faults := policy.Decode("f.yaml", []byte(v3(kind, spec)))
	if len(faults) == 0 || len(res) != 1 {
		t.Fatalf("%q: %d resources, no fault", spec, len(res))
	}
	if faults[0].Key != res[0].Key {
		t.Errorf("%q: the fault is of %v", spec, faults[0].Key)
	}
	p, _ := res[0].Value.(*policy.Policy)
	return p
}

var never = policy.Entity{Selector: selector.Not(nil)}

// S4: of a rule that can't be represented, Allow matches nothing, and Deny (or
// Pass, or what may be a Deny) denies all that it could have matched.
func TestS4_FaultyRules(t *testing.T) {
	for name, c := range map[string]struct {
		rule string
		want policy.Rule
	}{
		"allow":           {"{action: Allow, source: {selector: '='}}", policy.Rule{Action: policy.Allow, Source: never, Faulty: true}},
		"allow, unknown":  {"{action: Allow, sorce: {selector: has(a)}}", policy.Rule{Action: policy.Allow, Source: never, Faulty: true}},
		"allow, bad port": {"{action: Allow, protocol: TCP, destination: {ports: [80-90, 80]}}", policy.Rule{Action: policy.Allow, Source: never, Faulty: true}},
		"log":             {"{action: Log, protocol: ICMP, icmp: {type: 255}}", policy.Rule{Action: policy.Log, Source: never, Faulty: true}},
		"deny loses what is not understood": {
			"{action: Deny, protocol: TCP, source: {selector: has(a), nets: [x]}, destination: {ports: [80]}}",
			policy.Rule{Action: policy.Deny, Protocol: policy.TCP, Source: policy.Entity{Selector: selector.Has("a")},
				Destination: policy.Entity{Ports: []policy.PortRange{{Min: 80, Max: 80}}}}},
		"deny, one bad net of two": {"{action: Deny, source: {nets: [10.0.0.0/8, x]}}", policy.Rule{Action: policy.Deny}},
		"deny, one bad notNet":     {"{action: Deny, source: {notNets: [10.0.0.0/8, x]}}", policy.Rule{Action: policy.Deny}},
		// Nets of two families make a rule that matches one of them, or none (S23).
		"deny, nets of both families": {"{action: Deny, source: {selector: has(a), nets: [10.0.0.0/8, 'fd00::/8']}}",
			policy.Rule{Action: policy.Deny, Source: policy.Entity{Selector: selector.Has("a")}}},
		"deny, each side of a family": {"{action: Deny, source: {nets: [10.0.0.0/8]}, destination: {notNets: ['fd00::/8']}}", policy.Rule{Action: policy.Deny}},
		"deny, nets of another family than ipVersion": {"{action: Deny, ipVersion: 6, protocol: TCP, source: {nets: [10.0.0.0/8]}, destination: {ports: [80]}}",
			policy.Rule{Action: policy.Deny, Protocol: policy.TCP, Destination: policy.Entity{Ports: []policy.PortRange{{Min: 80, Max: 80}}}}},
		"allow, nets of both families": {"{action: Allow, source: {nets: [10.0.0.0/8, 'fd00::/8']}}", policy.Rule{Action: policy.Allow, Source: never, Faulty: true}},
		"deny, bad port":               {"{action: Deny, protocol: TCP, destination: {ports: [80-90, http]}}", policy.Rule{Action: policy.Deny, Protocol: policy.TCP}},
		"deny, ports and no protocol":  {"{action: Deny, destination: {ports: [80]}}", policy.Rule{Action: policy.Deny}},
		"deny, protocol and ports":     {"{action: Deny, protocol: TPC, destination: {ports: [80]}}", policy.Rule{Action: policy.Deny}},
		"deny, bad source port": {"{action: Deny, protocol: TCP, source: {notPorts: [0]}, destination: {ports: [web]}}",
			policy.Rule{Action: policy.Deny, Protocol: policy.TCP, Destination: policy.Entity{NamedPorts: []string{"web"}}}},
		"deny, services":          {"{action: Deny, source: {services: {namespace: a}}}", policy.Rule{Action: policy.Deny}},
		"deny, services and nets": {"{action: Deny, source: {services: {name: a}, nets: [10.0.0.0/8]}}", policy.Rule{Action: policy.Deny}},
		"deny, accounts": {"{action: Deny, source: {selector: has(a), serviceAccounts: {selector: '='}, nets: [10.0.0.0/8]}}",
			policy.Rule{Action: policy.Deny, Source: policy.Entity{Nets: prefixes("10.0.0.0/8")}}},
		"deny, no account":   {"{action: Deny, source: {serviceAccounts: {}}}", policy.Rule{Action: policy.Deny}},
		"deny, icmp":         {"{action: Deny, protocol: ICMP, icmp: {type: 8, code: 256}}", policy.Rule{Action: policy.Deny, Protocol: policy.ICMP}},
		"deny, icmp of TCP":  {"{action: Deny, protocol: TCP, icmp: {type: 8}}", policy.Rule{Action: policy.Deny, Protocol: policy.TCP}},
		"deny, notICMP":      {"{action: Deny, protocol: ICMP, icmp: {type: 8}, notICMP: {code: 1}}", policy.Rule{Action: policy.Deny, Protocol: policy.ICMP, ICMP: &policy.ICMPMatch{Type: 8, Code: policy.AnyCode}}},
		"deny, http":         {"{action: Deny, protocol: TCP, http: {methods: [GET]}}", policy.Rule{Action: policy.Deny, Protocol: policy.TCP}},
		"allow, http":        {"{action: Allow, protocol: TCP, http: {methods: [get]}}", policy.Rule{Action: policy.Allow, Source: never, Faulty: true}},
		"allow, http of UDP": {"{action: Allow, protocol: UDP, http: {}}", policy.Rule{Action: policy.Allow, Source: never, Faulty: true}},
		"allow, services":    {"{action: Allow, source: {services: {name: a, namespace: b}, selector: has(a)}}", policy.Rule{Action: policy.Allow, Source: never, Faulty: true}},
		// The selector alone would be of the policy's own namespace only (S16).
		"deny, namespaceSelector":          {"{action: Deny, source: {selector: has(a), namespaceSelector: '='}}", policy.Rule{Action: policy.Deny}},
		"pass denies":                      {"{action: Pass, source: {selector: '='}}", policy.Rule{Action: policy.Deny}},
		"unknown action denies":            {"{action: Dney, source: {selector: has(a)}}", policy.Rule{Action: policy.Deny, Source: policy.Entity{Selector: selector.Has("a")}}},
		"nothing denies":                   {"null", policy.Rule{Action: policy.Deny}},
		"deny, an account that is nothing": {"{action: Deny, source: {serviceAccounts: {names: [null]}}}", policy.Rule{Action: policy.Deny}},
		"no action denies":                 {"{source: {selector: has(a)}}", policy.Rule{Action: policy.Deny, Source: policy.Entity{Selector: selector.Has("a")}}},
	} {
		p := faulty(t, "NetworkPolicy", "types: [Ingress]\ningress:\n- action: Pass\n- "+c.rule+"\n- action: Allow")
		want := []policy.Rule{{Action: policy.Pass}, c.want, {Action: policy.Allow}}
		if diff := cmp.Diff(want, p.Rules[policy.Ingress], alike); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// A policy whose own fields are not understood selects all that it may, and
// allows nothing, since its Allow rules would speak for others too.
func TestS4_FaultyPolicies(t *testing.T) {
	rules := "ingress: [{action: Allow}, {action: Deny, protocol: TCP}, {action: Pass, protocol: UDP}]\n"
	closed := []policy.Rule{{Action: policy.Allow, Source: never, Faulty: true}, {Action: policy.Deny, Protocol: policy.TCP}, {Action: policy.Deny, Protocol: policy.UDP}}
	both, in := [2]bool{true, true}, [2]bool{true, false}
	for spec, types := range map[string][2]bool{
		"selector: app =":                   in,
		"selector: global()":                in,
		"selector: [a]":                     in,
		"serviceAccountSelector: '='":       in,
		"order: first":                      in,
		"tier: 5":                           in,
		"selektor: has(a)":                  both, // may be anything
		"egres: [{action: Allow}]":          both,
		"types: [Ingres]":                   both,
		"types: [Ingress, Egress, Ingress]": both,
		"types: Egress":                     both,
	} {
		p := faulty(t, "NetworkPolicy", rules+spec)
		if p.Selector != nil {
			t.Errorf("%q: selects %s", spec, p.Selector)
		}
		if p.Types != types {
			t.Errorf("%q: types %v", spec, p.Types)
		}
		want := closed
		if strings.HasPrefix(spec, "selektor") || strings.HasPrefix(spec, "egres:") {
			// There may be a Deny in what is not understood.
			want = append(closed[:3:3], policy.Rule{Action: policy.Deny})
		}
		if diff := cmp.Diff(want, p.Rules[policy.Ingress], alike); diff != "" {
			t.Errorf("%q: (-want +got)\n%s", spec, diff)
		}
	}
	if p := faulty(t, "NetworkPolicy", "order: first"); p.Order != math.Inf(-1) {
		t.Errorf("without a known order it must be first, is at %v", p.Order)
	}
	p := faulty(t, "GlobalNetworkPolicy", "selector: '='\nnamespaceSelector: has(a)")
	if p.Selector != nil || p.NamespaceSelector.String() != "has(a)" {
		t.Errorf("what is understood still narrows: %v %v", p.Selector, p.NamespaceSelector)
	}
	p = faulty(t, "NetworkPolicy", "selector: has(a)\nserviceAccountSelector: '='")
	if p.Selector.String() != "has(a)" {
		t.Errorf("what is understood still narrows: %v", p.Selector)
	}
	p = faulty(t, "NetworkPolicy", "types: [Ingress]\nselektor: has(a)")
	if p.Types != in {
		t.Errorf("types that are given count: %v", p.Types)
	}
	p = faulty(t, "NetworkPolicy", "egress: {action: Allow}")
	if !p.Types[policy.Egress] {
		t.Error("egress that is no list still closes egress")
	}
}

// A field that is given twice says two things; neither is known to be meant.
func TestS4_FieldsGivenTwice(t *testing.T) {
	deny := []policy.Rule{{Action: policy.Deny}}
	for _, spec := range []string{
		"selector: has(a)\nselector: has(b)", "types: [Ingress]\ntypes: [Egress]", "order: 1\norder: 2",
		"selector: has(a)\negress: [{action: Allow}]\negress: [{action: Deny}]",
	} {
		p := faulty(t, "NetworkPolicy", spec)
		if p.Selector != nil || p.Types != [2]bool{true, true} || p.Order != math.Inf(-1) ||
			!cmp.Equal(p.Rules[policy.Ingress], deny, alike) || p.Rules[policy.Egress][len(p.Rules[policy.Egress])-1].Action != policy.Deny {
			t.Errorf("%q: %+v", spec, p)
		}
	}
	res, _ := policy.Decode("f", []byte("apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p}\nspek: {}\n"))
	p := res[0].Value.(*policy.Policy)
	if p.Types != [2]bool{true, true} || !cmp.Equal(p.Rules, [2][]policy.Rule{deny, deny}, alike) {
		t.Errorf("a misspelt spec: %+v", p)
	}
	p = faulty(t, "NetworkPolicy", "ingress: [{action: Allow, protocol: TCP, protocol: UDP}, {action: Deny, protocol: TCP, protocol: UDP}]")
	if want := (policy.Rule{Action: policy.Allow, Source: never, Faulty: true}); !cmp.Equal(want, p.Rules[policy.Ingress][0], alike) || !cmp.Equal(deny, p.Rules[policy.Ingress][1:], alike) {
		t.Errorf("in a rule: %+v", p.Rules)
	}
}

// Faults of the metadata do not touch what the policy does.
func TestS4_FaultyMetadata(t *testing.T) {
	res, faults := policy.Decode("f", []byte("apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p, labels: {a: 1}}\nspec: {selector: has(a), ingress: [{action: Allow}]}"))
	p := res[0].Value.(*policy.Policy)
	if len(faults) != 1 || p.Selector.String() != "has(a)" || p.Rules[0][0].Source.Selector != nil {
		t.Errorf("%v %+v", faults, p)
	}
}

// What is staged is enforced nowhere, so it may be left out (S26).
func TestFaultyStagedPoliciesAreLeftOut(t *testing.T) {
	if p := faulty(t, "StagedNetworkPolicy", "selector: '='"); p != nil {
		t.Errorf("%+v", p)
	}
}

func TestS13_FaultyTierIsLeftOut(t *testing.T) {
	for _, doc := range []string{
		"metadata: {name: a}\nspec: {order: x}", "metadata: {name: a}\nspec: {order: 1, order: 2}", "metadata: {name: a}\nspec: {oder: 1}",
		"metadata: {name: a}\nspek: {order: 1}", "metadata: {name: a}\nspec: [1]", "metadata: {}\nspec: {order: 1}",
	} {
		res, faults := policy.Decode("f", []byte("apiVersion: projectcalico.org/v3\nkind: Tier\n"+doc))
		if len(faults) == 0 || len(res) > 0 && res[0].Value != nil {
			t.Errorf("%s: %v %v", doc, faults, res)
		}
	}
}

// Behind the others the Deny rules of a tier would come too late: a fault that is
// not about its place does not move it.
func TestS13_FaultyTierKeepsItsPlace(t *testing.T) {
	for doc, want := range map[string]policy.Tier{
		"metadata: {name: a, labels: {version: 2}}\nspec: {order: 1, defaultAction: Pass}": {Order: 1, DefaultAction: policy.Pass},
		"metadata: {name: a, lables: {}}\nspec: {order: 1}":                                {Order: 1, DefaultAction: policy.Deny},
		"metadata: {name: a}\nspec: {order: 1, defaultAction: pass}":                       {Order: 1, DefaultAction: policy.Deny},
		"metadata: {name: a}\nspec: {order: 1, defaultAction: 5}":                          {Order: 1, DefaultAction: policy.Deny},
	} {
		res, faults := policy.Decode("f", []byte("apiVersion: projectcalico.org/v3\nkind: Tier\n"+doc))
		got, _ := res[0].Value.(*policy.Tier)
		if len(faults) != 1 || got == nil || got.Order != want.Order || got.DefaultAction != want.DefaultAction {
			t.Errorf("%s: %v %+v", doc, faults, got)
		}
	}
}

func TestS4_FaultyKubernetesPolicy(t *testing.T) {
	get := func(spec string) *policy.Policy {
		res, faults := policy.Decode("f", []byte("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n"+indent(spec)))
		if len(faults) == 0 {
			t.Fatalf("%q: no fault", spec)
		}
		return res[0].Value.(*policy.Policy)
	}
	p := get("podSelector: {}\ningress: [{ports: [{port: 0}, {port: 80}]}, {ports: [{port: Http}]}, {from: [{}, {podSelector: {}}]}]")
	want := []policy.Rule{
		{Action: policy.Allow, Protocol: policy.TCP, Destination: policy.Entity{Ports: []policy.PortRange{{Min: 80, Max: 80}}}},
		{Action: policy.Allow, Source: policy.Entity{Selector: selector.Eq("projectcalico.org/orchestrator", "k8s")}},
	}
	if diff := cmp.Diff(want, p.Rules[policy.Ingress], alike); diff != "" {
		t.Errorf("an Allow that can't be represented matches nothing: (-want +got)\n%s", diff)
	}
	for _, spec := range []string{
		"podSelector: {matchLabels: {a: 1}}\ningress: [{}]",
		"podSelectr: {}\ningress: [{}]",
		"podSelector: {matchExpressions: [{key: a, operator: Is}]}\ningress: [{}]",
	} {
		p := get(spec)
		if len(p.Rules[policy.Ingress]) != 0 || !p.Types[policy.Ingress] || !p.Types[policy.Egress] {
			t.Errorf("%q: %+v", spec, p)
		}
	}
}
