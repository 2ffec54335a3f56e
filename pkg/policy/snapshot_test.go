package policy_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

func resources(t *testing.T, file, docs string) []policy.Resource {
	t.Helper()
	res, faults := policy.Decode(file, []byte(docs))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return res
}

func snapshot(t *testing.T, docs string) *policy.Snapshot {
	t.Helper()
	s, faults := policy.NewSnapshot(1, resources(t, "f.yaml", docs), nil)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	return s
}

func TestSnapshotIsSorted(t *testing.T) {
	s := snapshot(t, `
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: a-b, namespace: n}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: a, namespace: n}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: z, namespace: m}}
---
{apiVersion: projectcalico.org/v3, kind: GlobalNetworkPolicy, metadata: {name: zz}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a}}
`)
	var got []string
	for _, p := range s.Policies {
		got = append(got, p.Key.String())
	}
	for _, e := range s.Endpoints {
		got = append(got, e.ID())
	}
	want := []string{"GlobalNetworkPolicy zz", "NetworkPolicy m/z", "NetworkPolicy n/a", "NetworkPolicy n/a-b", "default/a", "default/b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestS15_ImpliedNamespaces(t *testing.T) {
	s := snapshot(t, `
{apiVersion: v1, kind: Namespace, metadata: {name: b, labels: {x: y}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: b}}
---
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: a}}
---
{apiVersion: v1, kind: Service, metadata: {name: a, namespace: c}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p, namespace: d}}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: p, namespace: e}}
`)
	var names []string
	for _, ns := range s.Namespaces {
		names = append(names, ns.Name)
		want := selector.Labels{"projectcalico.org/name": ns.Name, "kubernetes.io/metadata.name": ns.Name}
		if ns.Name == "b" {
			want["x"] = "y"
		}
		if diff := cmp.Diff(want, ns.Labels); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", ns.Name, diff)
		}
	}
	if strings.Join(names, "") != "abcde" {
		t.Errorf("%v", names)
	}
}

const owned = `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: n}, spec: {template: {metadata: {labels: {app: web}}}}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1, namespace: n, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, controller: true}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web-1-a, namespace: n, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-1, controller: true}]}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: tick, namespace: n}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: tick-5, namespace: n, ownerReferences: [{apiVersion: batch/v1, kind: CronJob, name: tick, controller: true}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: tick-5-a, namespace: n, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: tick-5, controller: true}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: alone, namespace: n}}
`

func workloads(s *policy.Snapshot) []string {
	var out []string
	for _, e := range s.Endpoints {
		out = append(out, fmt.Sprintf("%s: %s %s", e.Name, e.Workload.Kind, e.Workload))
	}
	return out
}

func TestSnapshotResolvesWorkloads(t *testing.T) {
	want := []string{"alone: Pod n/alone", "tick-5-a: CronJob n/tick", "web-1-a: Deployment n/web"}
	if diff := cmp.Diff(want, workloads(snapshot(t, owned))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	// Owners that own each other end somewhere.
	snapshot(t, `
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: a, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: b, controller: true}]}}
---
{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: b, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: a, controller: true}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: a, controller: true}]}}
`)
}

func TestSnapshotTemplatesWithoutPods(t *testing.T) {
	s := snapshot(t, `
{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: n}, spec: {template: {metadata: {labels: {app: web}}, spec: {containers: [{ports: [{containerPort: 80}]}]}}}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: agent, namespace: n}, spec: {template: {spec: {hostNetwork: true}}}}
---
{apiVersion: batch/v1, kind: Job, metadata: {name: done, namespace: n}}
---
{apiVersion: v1, kind: Pod, metadata: {name: done-x, namespace: n, ownerReferences: [{apiVersion: batch/v1, kind: Job, name: done, controller: true}]}, status: {phase: Succeeded}}
---
{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: db, namespace: n}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: n, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, controller: true}]}}
`)
	if diff := cmp.Diff([]string{"db-0: StatefulSet n/db", "web: Deployment n/web"}, workloads(s)); diff != "" {
		t.Fatalf("(-want +got)\n%s", diff)
	}
	web := s.Endpoint("n", "web")
	if len(web.Addrs) != 0 || web.Labels["app"] != "web" || web.Labels["projectcalico.org/namespace"] != "n" || web.Ports[0].Port != 80 {
		t.Errorf("%+v", web)
	}
}

func TestSnapshotDuplicates(t *testing.T) {
	doc := "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {from: %s}}}"
	a := resources(t, "a.yaml", fmt.Sprintf(doc, "a"))
	b := resources(t, "b.yaml", fmt.Sprintf(doc, "b"))
	for _, all := range [][]policy.Resource{append(a[:1:1], b...), append(b[:1:1], a...)} {
		s, faults := policy.NewSnapshot(1, all, nil)
		if len(faults) != 1 || faults[0].Origin.String() != "b.yaml:1:1" || !strings.Contains(faults[0].Reason, "a.yaml:1:1") {
			t.Errorf("both places must be named: %v", faults)
		}
		if len(s.Endpoints) != 1 || s.Endpoints[0].Labels["from"] != "a" {
			t.Errorf("the first in order of places counts: %v", s.Endpoints)
		}
		// The fault stays as long as its cause does.
		again, faults := policy.NewSnapshot(2, all, s)
		if len(faults) != 1 || again.Endpoints[0] != s.Endpoints[0] {
			t.Errorf("again: %v", faults)
		}
		healed, faults := policy.NewSnapshot(3, b, again)
		if len(faults) != 0 || healed.Endpoints[0].Labels["from"] != "b" {
			t.Errorf("healed: %v", faults)
		}
	}
}

func TestS13_MissingTier(t *testing.T) {
	all := resources(t, "f.yaml", `
{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: platform}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: a}, spec: {tier: platfrm}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: b}, spec: {tier: platform}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: c}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: d}, spec: {tier: kube-baseline}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: e}, spec: {tier: security}}
`)
	s, faults := policy.NewSnapshot(1, all, nil)
	if len(s.Policies) != 5 || len(faults) != 2 {
		t.Fatalf("%d policies, faults: %v", len(s.Policies), faults)
	}
	if e := faults[0].Error(); !strings.Contains(e, "platfrm") || !strings.Contains(e, "did you mean platform?") {
		t.Error(e)
	}
	if e := faults[1].Error(); !strings.Contains(e, "netpol tier create security") {
		t.Error(e)
	}
}

// What did not change keeps its pointer, and a snapshot made from another is
// the same as one made anew, whatever changed and in whatever order it comes.
func TestSnapshotFromTheOneBefore(t *testing.T) {
	docs := strings.Split(strings.TrimSpace(owned), "\n---\n")
	for i := range 12 {
		docs = append(docs,
			fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: p%d, namespace: n%d, labels: {v: '%%d'}}}", i, i%5),
			fmt.Sprintf("{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: p%d, namespace: n%d}, spec: {order: %%d}}", i, i%3),
			fmt.Sprintf("{apiVersion: apps/v1, kind: Deployment, metadata: {name: d%d, namespace: n%d}, spec: {replicas: %%d}}", i%8, i%4))
	}
	for i := range 6 {
		docs = append(docs,
			fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: q%d, namespace: n%d, labels: {app: x}}, status: {podIP: 10.0.0.%d}}", i, i%2, i),
			fmt.Sprintf("{apiVersion: v1, kind: Service, metadata: {name: s%d, namespace: n%d}, spec: {selector: {app: x}, ports: [{port: 1%%d}]}}", i%3, i%2),
			fmt.Sprintf("{apiVersion: v1, kind: Endpoints, metadata: {name: s%d, namespace: n%d}, subsets: [{addresses: [{ip: 10.0.0.%d}, {ip: 10.0.0.%d}], ports: [{port: 1%%d}]}]}", i%3, i%2, i, (i+1)%6),
			fmt.Sprintf("{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e%d, namespace: n%d, labels: {kubernetes.io/service-name: s%d}}, endpoints: [{addresses: [10.0.0.%d]}], ports: [{port: 80}]}", i, i%2, i%3, i),
			fmt.Sprintf("{apiVersion: projectcalico.org/v3, kind: GlobalNetworkSet, metadata: {name: g%d, labels: {v: '%%d'}}, spec: {nets: [10.0.0.0/8]}}", i%4),
			fmt.Sprintf("{apiVersion: projectcalico.org/v3, kind: NetworkSet, metadata: {name: g%d, namespace: n%d, labels: {v: '%%d'}}}", i%4, i),
			fmt.Sprintf("{apiVersion: v1, kind: ServiceAccount, metadata: {name: a%d, namespace: m%d, labels: {v: '%%d'}}}", i%4, i))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	dec := policy.NewDecoder()
	read := func(i, version int) []policy.Resource {
		doc := docs[i]
		if strings.Contains(doc, "%d") {
			doc = fmt.Sprintf(doc, version)
		}
		res, faults := dec.Decode(fmt.Sprintf("f%02d.yaml", i), []byte(doc))
		if len(faults) > 0 {
			t.Fatal(faults)
		}
		return res
	}
	current := map[int][]policy.Resource{}
	var prev *policy.Snapshot
	for step := range 400 {
		for range 1 + rnd.IntN(3) {
			i := rnd.IntN(len(docs))
			if rnd.IntN(3) == 0 {
				delete(current, i)
			} else {
				current[i] = read(i, step)
			}
		}
		var all []policy.Resource
		for i := range docs {
			all = append(all, current[i]...)
		}
		if step%10 == 9 {
			rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		}
		next, faults := policy.NewSnapshot(uint64(step), all, prev)
		fresh, freshFaults := policy.NewSnapshot(uint64(step), all, nil)
		opts := cmp.Options{alike, cmpopts.IgnoreUnexported(policy.Snapshot{}), cmpopts.EquateEmpty()}
		if diff := cmp.Diff(fresh, next, opts); diff != "" {
			t.Fatalf("step %d: (-fresh +next)\n%s", step, diff)
		}
		if diff := cmp.Diff(freshFaults, faults); diff != "" {
			t.Fatalf("step %d: (-fresh +next)\n%s", step, diff)
		}
		shared(t, all, prev, next)
		prev = next
	}
}

// shared checks that endpoints that are alike in two snapshots are the same.
func shared(t *testing.T, all []policy.Resource, prev, next *policy.Snapshot) {
	t.Helper()
	if prev == nil {
		return
	}
	for _, ep := range next.Endpoints {
		for _, old := range prev.Endpoints {
			same := old.Origin == ep.Origin && old.Workload == ep.Workload && old.Name == ep.Name && fmt.Sprint(old.Labels) == fmt.Sprint(ep.Labels)
			unchanged := slices.ContainsFunc(all, func(r policy.Resource) bool { return r.Value == any(old) })
			if same && unchanged && old != ep {
				t.Errorf("%s changed its pointer", ep.ID())
			}
		}
	}
	for _, svc := range next.Services {
		old := prev.Service(svc.Namespace, svc.Name)
		if old != nil && old != svc && cmp.Equal(old, svc, alike) && slices.ContainsFunc(all, func(r policy.Resource) bool { return r.Origin == old.Origin }) && len(svc.Backends) > 0 {
			t.Errorf("Service %s/%s changed its pointer", svc.Namespace, svc.Name)
		}
	}
	again, _ := policy.NewSnapshot(99, all, next)
	if len(all) > 0 && (!slices.Equal(again.Endpoints, next.Endpoints) || !slices.Equal(again.Namespaces, next.Namespaces) || !slices.Equal(again.Policies, next.Policies) ||
		!slices.Equal(again.Services, next.Services) || !slices.Equal(again.NetworkSets, next.NetworkSets) || !slices.Equal(again.ServiceAccounts, next.ServiceAccounts)) {
		t.Error("without a change, pointers changed")
	}
}

func TestSnapshotLookups(t *testing.T) {
	s := snapshot(t, `
{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: platform}}
---
{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: a, namespace: n}}
---
{apiVersion: v1, kind: Service, metadata: {name: db, namespace: n}, spec: {clusterIP: 10.96.0.9, selector: {app: db}, ports: [{port: 80, targetPort: web}, {port: 53, protocol: UDP}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: headless, namespace: n}, spec: {clusterIP: None}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-0, namespace: n, labels: {app: db}}, spec: {containers: [{ports: [{name: web, containerPort: 8080}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-1, namespace: n, labels: {app: db}, deletionTimestamp: x}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db-2, namespace: m, labels: {app: db}}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: n, labels: {app: web}}}
`)
	if s.Namespace("n") == nil || s.Namespace("x") != nil || s.Tier("platform") == nil || s.Tier("x") != nil || s.Tier("default").Order != 1_000_000 {
		t.Error("namespaces or tiers")
	}
	if s.Policy(policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "n", Name: "a"}) == nil || s.Policy(policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: "n", Name: "a"}) != nil {
		t.Error("policies")
	}
	db := s.Service("n", "db")
	svc, port := s.ServiceFor(addrs("10.96.0.9")[0], policy.TCP, 80)
	if svc != db || port != &db.Ports[0] {
		t.Errorf("%v %v", svc, port)
	}
	if svc, _ := s.ServiceFor(addrs("10.96.0.9")[0], policy.UDP, 80); svc != nil {
		t.Error("the protocol is part of it")
	}
	eps := s.ServiceEndpoints(db)
	if len(eps) != 1 || eps[0].Name != "db-0" || port.TargetPortOf(eps[0]) != 8080 || db.Ports[1].TargetPortOf(eps[0]) != 53 || port.TargetPortOf(s.Endpoint("n", "web")) != 0 {
		t.Errorf("%v", eps)
	}
	if len(s.ServiceEndpoints(s.Service("n", "headless"))) != 0 {
		t.Error("a Service without a selector has no endpoints of its own")
	}
	if got := len(s.EndpointsIn("n")); got != 3 {
		t.Errorf("%d endpoints", got)
	}
	if got := s.WorkloadEndpoints(policy.Workload{Namespace: "n", Name: "web"}); len(got) != 1 {
		t.Errorf("%v", got)
	}
}
