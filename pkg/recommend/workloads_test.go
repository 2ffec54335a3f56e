package recommend

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

const everyKind = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: n}, spec: {template: {metadata: {labels: {app: web}}}}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1, namespace: n, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-1-a, namespace: n, labels: {app: web, pod-template-hash: '1'}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, controller: true}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: n, labels: {controller-revision-hash: db-7, statefulset.kubernetes.io/pod-name: db-0, apps.kubernetes.io/pod-index: '0', app: db}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, controller: true}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: logs-x, namespace: n, labels: {controller-revision-hash: 5f, pod-template-generation: '1', name: logs}, ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: logs, controller: true}]}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: tick, namespace: n}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: tick-5, namespace: n, ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: tick, controller: true}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: tick-5-a, namespace: n, labels: {batch.kubernetes.io/job-name: tick-5, job-name: tick-5, controller-uid: u, batch.kubernetes.io/controller-uid: u, part: tick}, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: tick-5, controller: true}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: once-b, namespace: n, labels: {job-name: once, task: migrate}, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: once, controller: true}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: alone, namespace: n, labels: {run: alone}}}
`

// Every kind of workload has a policy by labels that last, owners found through
// ReplicaSets and Jobs.
func TestEveryKindOfWorkloadByLabelsThatLast(t *testing.T) {
	resources, faults := policy.Decode("f.yaml", []byte(everyKind))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	snap, _ := policy.NewSnapshot(1, resources, nil)
	want := map[policy.Workload]string{
		{Kind: policy.KindDeployment, Namespace: "n", Name: "web"}: "app == 'web'",
		{Kind: policy.KindStatefulSet, Namespace: "n", Name: "db"}: "app == 'db'",
		{Kind: policy.KindDaemonSet, Namespace: "n", Name: "logs"}: "name == 'logs'",
		{Kind: policy.KindCronJob, Namespace: "n", Name: "tick"}:   "part == 'tick'",
		{Kind: policy.KindJob, Namespace: "n", Name: "once"}:       "task == 'migrate'",
		{Kind: policy.KindPod, Namespace: "n", Name: "alone"}:      "run == 'alone'",
	}
	req := Request{Model: tier.New(snap, nil), Tier: "default"}
	for w := range want {
		req.Targets = append(req.Targets, w)
		req.Flows = append(req.Flows, flow.Flow{Key: flow.Key{
			Source: flow.Peer{Kind: flow.PeerWorkload, Workload: w}, Destination: peer("198.51.100.1"), Protocol: policy.TCP, Port: 443,
			Direction: policy.Egress, Enforced: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow},
		}, FirstSeen: seen, LastSeen: seen, Connections: 1})
	}
	res := Recommend(req)
	if len(res.Policies) != len(want) {
		t.Fatalf("%d policies, skipped %v", len(res.Policies), res.Skipped)
	}
	for _, p := range res.Policies {
		if got := quoted(p.Selector); len(p.Workloads) != 1 || got != want[p.Workloads[0]] {
			t.Errorf("%v: selected by %s, want %s", p.Workloads, got, want[p.Workloads[0]])
		}
	}
}
