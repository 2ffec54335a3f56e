package tier_test

import (
	"slices"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

func TestWhom(t *testing.T) {
	resources, faults := policy.Decode("f.yaml", []byte(`
apiVersion: v1
kind: Pod
metadata: {name: a, namespace: shop, labels: {app: a}}
---
apiVersion: v1
kind: Pod
metadata: {name: a2, namespace: shop, labels: {app: a}}
---
apiVersion: v1
kind: Pod
metadata: {name: b, namespace: other, labels: {app: b}}
---
apiVersion: projectcalico.org/v3
kind: NetworkSet
metadata: {name: office, namespace: shop, labels: {role: office}}
spec: {nets: [192.0.2.0/24]}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: p, namespace: shop}
spec:
  ingress:
  - {action: Allow}
  - {action: Allow, source: {selector: app == 'a'}}
  - {action: Allow, source: {selector: app == 'b'}}
  - {action: Allow, source: {selector: app == 'b', namespaceSelector: all()}}
  - {action: Allow, source: {selector: role == 'office'}}
---
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: g}
spec:
  ingress:
  - {action: Allow, source: {notSelector: app == 'a'}}
`))
	if faults.Err() != nil {
		t.Fatal(faults)
	}
	snap, _ := policy.NewSnapshot(1, resources, nil)
	m := tier.New(snap, nil)
	p := snap.Policy(policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "shop", Name: "p"})
	g := snap.Policy(policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "g"})
	for _, tc := range []struct {
		policy            *policy.Policy
		rule              int
		anyone, addresses bool
		endpoints         int
	}{
		{p, 0, true, false, 0},
		{p, 1, false, false, 1}, // two pods, one identity
		{p, 2, false, false, 0}, // S16: own namespace only
		{p, 3, false, false, 1},
		{p, 4, false, true, 0}, // S18
		{g, 0, true, false, 0}, // S17
	} {
		got := m.Whom(tc.policy, &tc.policy.Rules[policy.Ingress][tc.rule].Source)
		endpoints := slices.Collect(got.Endpoints())
		if got.Anyone != tc.anyone || got.Addresses != tc.addresses || len(endpoints) != tc.endpoints ||
			got.None() != (!tc.anyone && !tc.addresses && tc.endpoints == 0) {
			t.Errorf("%s, rule %d: %+v", tc.policy.Key, tc.rule, got)
		}
	}
}
