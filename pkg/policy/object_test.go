package policy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Each text is what decoding it and writing it again gives.
var written = []string{
	`apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: db
  namespace: vote
spec:
  ingress:
  - action: Allow
    destination:
      notPorts:
      - 5433
      ports:
      - 5432
      - 8000:8080
    ipVersion: 4
    protocol: TCP
    source:
      namespaceSelector: kubernetes.io/metadata.name == "vote"
      nets:
      - 10.0.0.0/8
      notNets:
      - 10.1.0.0/16
      notSelector: has(bad)
      selector: app in {"result", "worker"}
  - action: Log
    notProtocol: 47
    protocol: ICMPv6
  - action: Pass
  order: 10
  selector: app == "db"
  tier: platform
  types:
  - Ingress
`,
	`apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata:
  name: default-deny
spec:
  namespaceSelector: kubernetes.io/metadata.name in {"vote", "wordpress"}
  order: 0.5
  stagedAction: Learn
  tier: default
  types:
  - Ingress
  - Egress
`,
	`apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata:
  name: gone
  namespace: vote
spec:
  stagedAction: Delete
  tier: platform
`,
	`apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: e
spec:
  egress:
  - action: Deny
    destination:
      namespaceSelector: global()
  tier: default
  types:
  - Egress
`,
}

func TestToObject(t *testing.T) {
	for _, want := range written {
		p := decodeOne[policy.Policy](t, want)
		u := policy.ToObject(p)
		got, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		again, faults := policy.ValidateObject(u)
		if len(faults) > 0 {
			t.Error(faults)
		}
		if diff := cmp.Diff(p, again, alike, cmpopts.IgnoreFields(policy.Policy{}, "Origin")); diff != "" {
			t.Errorf("in memory: (-want +got)\n%s", diff)
		}
	}
}

func TestS4_KubernetesPolicyAsV3(t *testing.T) {
	p := decodeOne[policy.Policy](t, kubernetes("ingress: [{from: [{podSelector: {}}], ports: [{port: 80}]}]"))
	again, faults := policy.ValidateObject(policy.ToObject(p))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	want := *p
	want.Kind = policy.KindNetworkPolicy
	if diff := cmp.Diff(&want, again, alike, cmpopts.IgnoreFields(policy.Policy{}, "Origin")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestTierObject(t *testing.T) {
	for _, want := range []*policy.Tier{
		{Name: "a", Order: 5, DefaultAction: policy.Pass},
		{Name: "b", Order: policy.Unordered, DefaultAction: policy.Deny},
	} {
		got, faults := policy.ValidateObject(policy.TierObject(want))
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	}
}
