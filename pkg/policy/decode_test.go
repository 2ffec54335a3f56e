package policy_test

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
)

func TestTry(t *testing.T) {
	rs, f := policy.Decode("x.yaml", []byte(`apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: db
  namespace: vote
spec:
  tier: platform
  order: 10
  selector: app == 'db'
  ingress:
    - action: Allow
      protocol: TCP
      source:
        selector: app == 'worker' || app == 'result'
      destination:
        ports: [5432, "80:90", http, 70000]
    - action: Alow
      source: {nets: [10.0.0.1/24], selectr: x}
---
apiVersion: v1
kind: Namespace
metadata:
  name: a
  labels: {x: y}
---
{"apiVersion": "v1", "kind": "Pod",
 "metadata": {"name": "p", "labels": {"a": 5}}}
---
a:
  - b
   c: d
`))
	for _, r := range rs {
		t.Logf("%+v %+v", r, r.Value)
	}
	t.Log(f.Error())
}
