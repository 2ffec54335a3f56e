package kube_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/kubetest"
)

// bigPod is a pod as a kubelet leaves it, with the status that it writes.
func bigPod(i int) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: web-%[2]d-7d4b9c6f5d-%[1]d
  namespace: big-%[3]d
  labels: {app: web-%[2]d, app.kubernetes.io/part-of: shop, pod-template-hash: 7d4b9c6f5d}
spec:
  nodeName: node-%[3]d
  serviceAccountName: web
  containers:
  - name: web
    image: registry.example/web:1.%[2]d
    args: ["--port", "8080", "--verbose"]
    env: [{name: DB, value: db.svc}, {name: EMPTY, value: ""}]
    ports: [{name: http, containerPort: 8080}, {containerPort: 9090}]
    resources: {limits: {cpu: 500m, memory: 128Mi}}
`, i, i%1000, i%100)
}

func bigStatus(i int) map[string]any {
	ip := fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255)
	return map[string]any{"phase": "Running", "podIP": ip, "podIPs": []any{map[string]any{"ip": ip}, map[string]any{"ip": fmt.Sprintf("fd00::%x", i)}},
		"conditions": []any{map[string]any{"type": "Ready", "status": "True"}, map[string]any{"type": "PodScheduled", "status": "True"}}}
}

// fill makes namespaces, pods and policies.
func fill(t testing.TB, p *kubetest.ControlPlane, pods, policies int) {
	t.Helper()
	var spaces []string
	for i := range 100 {
		spaces = append(spaces, fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: big-%d, labels: {team: t%d}}\n", i, i%10))
	}
	client := p.Dynamic(t)
	ns := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	for _, text := range spaces {
		if _, err := ns.Create(t.Context(), object(t, text), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	var group errgroup.Group
	group.SetLimit(32)
	res := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"})
	for i := range pods {
		group.Go(func() error {
			made, err := res.Namespace(fmt.Sprintf("big-%d", i%100)).Create(t.Context(), object(t, bigPod(i)), metav1.CreateOptions{FieldManager: "kubetest"})
			if err != nil {
				return err
			}
			made.Object["status"] = bigStatus(i)
			_, err = res.Namespace(made.GetNamespace()).UpdateStatus(t.Context(), made, metav1.UpdateOptions{FieldManager: "kubelet"})
			return err
		})
	}
	nps := client.Resource(schema.GroupVersionResource{Group: "projectcalico.org", Version: "v3", Resource: "networkpolicies"})
	for i := range policies {
		group.Go(func() error {
			ns := fmt.Sprintf("big-%d", i%100)
			_, err := nps.Namespace(ns).Create(t.Context(), object(t, np(ns, fmt.Sprintf("p-%d", i), i%60000+1)), metav1.CreateOptions{FieldManager: "kubetest"})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// heap is what is in use after a collection.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func resident() string {
	data, _ := os.ReadFile("/proc/self/status")
	for _, l := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(l, "RssAnon") {
			return strings.Join(strings.Fields(l)[1:], " ")
		}
	}
	return "?"
}

// TestClusterOfTenThousandPods measures what a large cluster costs, and that
// it is read whole both ways. Bounds are wide: the machine may be busy.
func TestClusterOfTenThousandPods(t *testing.T) {
	if testing.Short() {
		t.Skip("it fills a cluster")
	}
	p := kubetest.New(t, kubetest.Options{})
	p.Apply(t, crds()...)
	const pods, policies = 10_000, 5_000
	start := time.Now()
	fill(t, p, pods, policies)
	t.Logf("filled in %s", time.Since(start))

	before, used := heap(), cpu()
	start = time.Now()
	s := open(t, p.Admin(), kube.Options{})
	ch, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := await(t, ch, "the first state", func(cluster.State) bool { return true })
	t.Logf("first state of %d pods and %d policies after %s, %s of processor time", pods, policies, time.Since(start), cpu()-used)
	if got := len(first.Snapshot.Endpoints); got != pods {
		t.Errorf("the first state has %d pods", got)
	}
	if got := len(first.Snapshot.Policies); got != policies {
		t.Errorf("the first state has %d policies", got)
	}
	kept := heap() - before
	t.Logf("%.1f MB kept, anonymous memory %s", float64(kept)/1e6, resident())
	if kept > 40e6 {
		t.Error("that is too much")
	}

	// One change at a time: from the server's answer to the state.
	var waits []time.Duration
	used = cpu()
	for port := range 50 {
		r := change(t, s, cluster.Change{Object: object(t, np("big-7", "new", port+1))})[0]
		at := time.Now()
		await(t, ch, "a change", func(st cluster.State) bool { return st.Has(r.Key, r.Version, false) })
		waits = append(waits, time.Since(at))
	}
	t.Logf("a policy's change is in a state after %s (median), %s of processor time each with the write", median(waits), (cpu()-used)/50)

	used, start = cpu(), time.Now()
	one := open(t, p.Admin(), kube.Options{})
	snap, faults, err := one.Snapshot(t.Context())
	if err != nil || len(faults.Errors()) > 0 || len(snap.Endpoints) != pods || len(snap.Policies) != policies+1 {
		t.Fatalf("%v, %d faults", err, len(faults))
	}
	t.Logf("read by pages in %s, %s of processor time", time.Since(start), cpu()-used)
}

func median(d []time.Duration) time.Duration {
	for i := range d {
		for j := i; j > 0 && d[j] < d[j-1]; j-- {
			d[j], d[j-1] = d[j-1], d[j]
		}
	}
	return d[len(d)/2]
}
