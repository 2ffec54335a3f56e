package kube_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/pkg/policy"
)

func podYAML(namespace, name string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s}\nspec: {nodeName: n, serviceAccountName: web}\nstatus: {phase: Running, podIP: 10.65.0.1, podIPs: [{ip: 10.65.0.1}]}\n", name, namespace)
}

func accountYAML(namespace string) string {
	return "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web, namespace: " + namespace + ", labels: {role: front}}\n"
}

// withNoLabels says whether a pod of vote is told with a namespace that has not
// the labels that the Namespace object gives it.
func withNoLabels(s cluster.State) bool {
	return len(s.Snapshot.EndpointsIn("vote")) > 0 && s.Snapshot.Namespace("vote").Labels["env"] != "prod"
}

// S31: a pod that is known before its namespace is left out: with a namespace
// made up for it no namespaceSelector would select it.
func TestS31_PodWithoutNamespaceIsLeftOut(t *testing.T) {
	f := newFake(t)
	labelled := strings.Replace(vote, "name: vote", "name: vote, labels: {env: prod}", 1)
	job := "apiVersion: batch/v1\nkind: Job\nmetadata: {name: once, namespace: vote}\nspec: {template: {metadata: {labels: {a: b}}, spec: {containers: []}}}\n"
	owned := strings.Replace(podYAML("vote", "once-1"), "metadata: {", "metadata: {ownerReferences: [{apiVersion: batch/v1, kind: Job, name: once, controller: true}], ", 1)
	f.put(t, strings.Replace(vote, "name: vote", "name: old", 1))
	f.put(t, podYAML("old", "app"))
	_, ch := watch(t, f)
	first := await(t, ch, "at once", func(s cluster.State) bool { return len(s.Snapshot.EndpointsIn("old")) == 1 })
	namespaces := collection(policy.KindNamespace)
	f.set(func() { f.silent[namespaces] = true })
	f.put(t, labelled)
	f.put(t, podYAML("vote", "web"))
	f.put(t, job)
	f.put(t, owned)
	version := f.put(t, np("vote", "one", 1))
	has := func(s cluster.State) bool {
		return s.Has(policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "one"}, fmt.Sprint(version), false)
	}
	// Longer than anything is kept back.
	never(t, ch, 600*time.Millisecond, "a pod in a namespace made up", withNoLabels)
	f.put(t, np("vote", "two", 2))
	st := await(t, ch, "other changes", func(s cluster.State) bool { return has(s) && len(s.Snapshot.Policies) == 2 })
	if n := st.Snapshot.EndpointsIn("vote"); len(n) > 0 {
		t.Errorf("pods of a namespace that has not arrived: %v", n)
	}
	if !slices.Equal(first.Snapshot.EndpointsIn("old"), st.Snapshot.EndpointsIn("old")) {
		t.Error("a pod that did not change is another pointer")
	}
	f.set(func() { f.silent[namespaces] = false })
	st = await(t, ch, "the namespace", func(s cluster.State) bool { return len(s.Snapshot.EndpointsIn("vote")) > 0 })
	if withNoLabels(st) || len(st.Snapshot.EndpointsIn("vote")) != 2 {
		t.Errorf("got %v in namespaces %v", st.Snapshot.EndpointsIn("vote"), st.Snapshot.Namespaces)
	}
	// A namespace that goes before its pods takes them along.
	f.drop(t, labelled, false)
	await(t, ch, "without the namespace", func(s cluster.State) bool { return len(s.Snapshot.EndpointsIn("vote")) == 0 })
}

// What is read once has the namespaces that others speak of: users may read
// pods and not namespaces.
func TestSnapshotMakesNamespacesUp(t *testing.T) {
	f := newFake(t)
	f.put(t, podYAML("vote", "web"))
	snap, _, err := open(t, f.config(), kube.Options{}).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.EndpointsIn("vote")) != 1 || snap.Namespace("vote") == nil {
		t.Errorf("got %v in %v", snap.Endpoints, snap.Namespaces)
	}
}

// A pod that is ahead of its service account's watch waits for it a moment; one
// whose account does not come, or goes, is told all the same.
func TestWatchWaitsForAServiceAccount(t *testing.T) {
	f := newFake(t)
	f.put(t, vote)
	ch := watchWith(t, f, kube.Options{}.Holding(time.Hour))
	await(t, ch, "at once", func(s cluster.State) bool { return len(s.Snapshot.Namespaces) == 1 })
	accounts := collection(policy.KindServiceAccount)
	f.set(func() { f.silent[accounts] = true })
	f.put(t, accountYAML("vote"))
	f.put(t, podYAML("vote", "one"))
	pods := func(n int) func(cluster.State) bool {
		return func(s cluster.State) bool { return len(s.Snapshot.Endpoints) == n }
	}
	never(t, ch, 300*time.Millisecond, "the pod without its account", pods(1))
	f.set(func() { f.silent[accounts] = false })
	st := await(t, ch, "the pod", pods(1))
	if st.Snapshot.ServiceAccount("vote", "web") == nil {
		t.Error("the pod came without its account")
	}
	// For whom a moment is as long as it is.
	_, ch = watch(t, f)
	await(t, ch, "the pod", pods(1))
	f.drop(t, accountYAML("vote"), false)
	await(t, ch, "the account goes", func(s cluster.State) bool { return len(s.Snapshot.ServiceAccounts) == 0 && pods(1)(s) })
	f.put(t, strings.Replace(podYAML("vote", "two"), "Name: web", "Name: never", 1))
	await(t, ch, "a pod without account", pods(2))
}
