package policy_test

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// What Calico stores is read like the v3 resource that it stands for.
func TestStoredResources(t *testing.T) {
	for doc, want := range map[string]policy.Key{
		"kind: NetworkPolicy\nmetadata: {name: default.a, namespace: n}\nspec: {selector: has(a)}":                         {Kind: policy.KindNetworkPolicy, Namespace: "n", Name: "a"},
		"kind: GlobalNetworkPolicy\nmetadata: {name: platform.a}\nspec: {tier: platform}":                                  {Kind: policy.KindGlobalNetworkPolicy, Name: "platform.a"},
		"kind: NetworkPolicy\nmetadata: {name: default.a, annotations: {projectcalico.org/metadata: '{\"name\": \"b\"}'}}": {Kind: policy.KindNetworkPolicy, Namespace: "default", Name: "b"},
		"kind: Tier\nmetadata: {name: default.a}":                                                                          {Kind: policy.KindTier, Name: "default.a"},
	} {
		res, faults := policy.Decode("f.yaml", []byte("apiVersion: crd.projectcalico.org/v1\n"+doc+"\n"))
		if len(faults) != 1 || !faults[0].Warning || faults[0].Code != policy.CodeOldVersion || faults[0].Origin.Line != 1 || faults[0].Key != want {
			t.Errorf("%s: %v", doc, faults)
		}
		if len(res) != 1 || res[0].Key != want || res[0].Value == nil {
			t.Errorf("%s: %v", doc, res)
		}
	}
	res, _ := policy.Decode("f.yaml", []byte(`apiVersion: crd.projectcalico.org/v1
kind: GlobalNetworkSet
metadata: {name: s, labels: {a: stored}, annotations: {projectcalico.org/metadata: '{"name": "s", "labels": {"a": "b", "c": "d"}}'}}
spec: {nets: [10.0.0.0/8]}
`))
	if l := res[0].Value.(*policy.NetworkSet).Labels; l["a"] != "b" || l["c"] != "d" {
		t.Errorf("%v", l)
	}
	res, faults := policy.Decode("f.yaml", []byte("apiVersion: crd.projectcalico.org/v1\nkind: GlobalNetworkPolicy\nmetadata: {name: a, annotations: {projectcalico.org/metadata: x}}\nspec: {selecto: x}\n"))
	if errs := faults.Errors(); len(errs) != 2 || errs[0].Origin.String() != "f.yaml:3:63" || res[0].Value == nil {
		t.Errorf("%v", faults)
	}
	// Calico's own affairs.
	for _, kind := range []string{"IPAMBlock", "FelixConfiguration", "IPPool"} {
		if _, faults := policy.Decode("f.yaml", []byte("apiVersion: crd.projectcalico.org/v1\nkind: "+kind+"\nmetadata: {name: a}\nspec: {x: y}\n")); len(faults) > 0 {
			t.Errorf("%s: %v", kind, faults)
		}
	}
}

// Machines tell faults apart by their codes.
func TestEveryFaultHasACode(t *testing.T) {
	all := wrongDocuments
	for _, w := range wrongSpecs {
		all = append(all, wrong{doc: v3("NetworkPolicy", w.doc)})
	}
	all = append(all, wrong{doc: "a: [\n"}, wrong{doc: "- a\n"}, wrong{doc: "kind: Pod\n"}, wrong{doc: "a: 1\na: 2\n"})
	for _, w := range all {
		_, faults := policy.Decode("f.yaml", []byte(w.doc))
		for _, f := range faults {
			if f.Code == "" {
				t.Errorf("no code: %v", f)
			}
		}
	}
	for spec, code := range map[string]string{
		"selektor: a": policy.CodeUnknownField, "selector: a =": policy.CodeBadSelector, "selector: global()": policy.CodeBadGlobal,
		"order: x": policy.CodeWrongType, "types: [Ingres]": policy.CodeUnknownValue, "selector: has(a)\nselector: has(b)": policy.CodeDuplicate,
		"ingress: [{action: Deny, source: {nets: [x]}}]":                      policy.CodeBadNet,
		"ingress: [{action: Deny, source: {nets: [10.0.0.0/8, 'fd00::/8']}}]": policy.CodeMixedFamilies,
		"ingress: [{action: Deny, source: {notNets: [0.0.0.0/0]}}]":           policy.CodeNetCatchAll,
		"ingress: [{action: Deny, destination: {ports: [80]}}]":               policy.CodePortProtocol,
		"ingress: [{action: Deny, protocol: TCP, destination: {ports: [0]}}]": policy.CodeBadPort,
		"ingress: [{action: Deny, protocol: TPC}]":                            policy.CodeBadProtocol,
		"egress: [" + repeat("{action: Deny}", 1025) + "]":                    policy.CodeOutOfBounds,
		"ingress: [{protocol: TCP}]":                                          policy.CodeRequired,
	} {
		_, faults := policy.Decode("f.yaml", []byte(v3("NetworkPolicy", spec)))
		if len(faults) == 0 || faults[0].Code != code {
			t.Errorf("%.60s: want %s: %#v", spec, code, faults)
		}
	}
}

// Selectors of labels that are wrong must not pass for what their text says.
func TestSharedSelectorsAreNotForged(t *testing.T) {
	d := policy.NewDecoder()
	forged := `{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a}, spec: {podSelector: {matchLabels: {a: 'b" || has(c) || d == "e'}}, ingress: [{from: [{podSelector: {matchLabels: {a: 'b" || has(c) || d == "e'}}}]}]}}`
	if _, faults := d.Decode("f", []byte(forged)); faults.Err() == nil {
		t.Fatal("no fault")
	}
	for _, text := range []string{`a == "b" || has(c) || d == "e"`, `projectcalico.org/orchestrator == "k8s" && a == "b" || has(c) || d == "e"`} {
		res, faults := d.Decode("g", []byte(v3("NetworkPolicy", "selector: '"+text+"'")))
		if len(faults) > 0 || !res[0].Value.(*policy.Policy).Selector.Matches(selector.Labels{"c": ""}) {
			t.Errorf("%s: %v", text, faults)
		}
	}
}
