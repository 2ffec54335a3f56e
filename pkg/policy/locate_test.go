package policy_test

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

const located = `# two documents and a List
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  annotations:
    netpol.dev/lint-ignore: tie
---
apiVersion: v1
kind: List
items:
- apiVersion: projectcalico.org/v3
  kind: NetworkPolicy
  metadata: {name: a, namespace: shop}
  spec:
    ingress:
    - action: Allow
      protocol: TCP
      destination:
        ports: [80, "90:99"]
    - action: Deny
- {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b", "labels": {"x": "y"}}}
`

func TestLocator(t *testing.T) {
	resources, faults := policy.Decode("f.yaml", []byte(located))
	if len(faults) > 0 || len(resources) != 3 {
		t.Fatal(resources, faults)
	}
	l := policy.NewLocator([]byte(located))
	for _, tc := range []struct {
		resource    int
		path        string
		at, value   string
		found       bool
		lengthThere int
	}{
		{0, "metadata.annotations[netpol.dev/lint-ignore]", "f.yaml:7:29", "tie", true, 0},
		{0, "metadata.annotations[netpol.dev/other]", "f.yaml:7:5", "", false, 0},
		{1, "spec.ingress[0].destination.ports", "f.yaml:20:16", "80, 90:99", true, 2},
		{1, "spec.ingress[0].destination.ports[1]", "f.yaml:20:21", "90:99", true, 0},
		{1, "spec.ingress[1].action", "f.yaml:21:15", "Deny", true, 0},
		{1, "spec.ingress[1].source.selector", "f.yaml:21:7", "", false, 0},
		{1, "spec.ingress[7]", "f.yaml:17:5", "", false, 0},
		{1, "spec.ingress", "f.yaml:17:5", "", true, 2},
		{2, "metadata.labels.x", "f.yaml:22:87", "y", true, 0},
		{0, "", "f.yaml:2:1", "", true, 3},
	} {
		at, value, found := l.Find(resources[tc.resource].Origin, tc.path)
		n := l.Len(resources[tc.resource].Origin, tc.path)
		if at.String() != tc.at || value != tc.value && tc.path != "spec.ingress" || found != tc.found || n != tc.lengthThere {
			t.Errorf("%q: got %s %q %v %d", tc.path, at, value, found, n)
		}
	}
	gone := policy.Origin{File: "f.yaml", Line: 99, Column: 3}
	if at, _, found := l.Find(gone, "spec"); found || at != gone {
		t.Errorf("a resource that is not there: %s %v", at, found)
	}
	if _, _, found := policy.NewLocator(nil).Find(gone, ""); found {
		t.Error("found in an empty file")
	}
}
