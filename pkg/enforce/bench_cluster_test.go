//go:build linux

package enforce_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// BenchmarkWriteToKernel is from an API server's answer to a write to the
// kernel's new ruleset generation, in a cluster of 10 000 pods: a policy among
// many that all select one pod, and the label of a peer of theirs.
func BenchmarkWriteToKernel(b *testing.B) {
	netnstest.Bench(b, func(b *testing.B) {
		n := newClusterNode(b)
		n.remotePods(10_000)
		client, server := n.wireAs("calic", "client"), n.wireAs("calis", "server")
		n.create("client")
		n.create("server")
		a := n.connect(n.run())
		n.report(client, "Running")
		n.await(a, written(n.report(server, "Running")))
		g, made := openGeneration(b), 0
		for _, policies := range []int{1, 1000, 5000} {
			n.crowdOf(made, policies)
			made = policies
			b.Run(fmt.Sprintf("change=policy/policies=%d", policies), func(b *testing.B) {
				n.timeWrites(b, a, g, func(i int) *unstructured.Unstructured {
					return n.patch(policiesAPI.Resource, fmt.Sprintf("p%d", policies/2), crowdSpec(20_000+i%40_000))
				})
			})
			b.Run(fmt.Sprintf("change=label/policies=%d", policies), func(b *testing.B) {
				n.timeWrites(b, a, g, func(i int) *unstructured.Unstructured {
					return n.patch(podsAPI.Resource, "pod-7", map[string]any{"metadata": map[string]any{
						"labels": map[string]any{"app": []string{"client", "other"}[i%2]},
					}})
				})
			})
		}
	})
}

// timeWrites times writes, each of which the kernel's rules must follow.
func (n *clusterNode) timeWrites(b *testing.B, a *agent, g *generation, write func(i int) *unstructured.Unstructured) {
	n.await(a, written(write(1))) // all that came before is in the kernel
	var spent, answered []time.Duration
	for i := 0; b.Loop(); i++ {
		before, start := g.now(), time.Now()
		o := write(i)
		answer := time.Now()
		for g.now() == before {
			if time.Since(answer) > patience {
				b.Fatalf("the kernel has no new rules after write %d", i)
			}
			time.Sleep(50 * time.Microsecond)
		}
		spent, answered = append(spent, time.Since(answer)), append(answered, answer.Sub(start))
		n.await(a, written(o)) // so that one change does not meet the next
	}
	var sum time.Duration
	for _, d := range answered {
		sum += d
	}
	report(b, spent)
	b.ReportMetric(float64(sum.Microseconds())/1e3/float64(len(answered)), "ms-write")
}

// patch changes an object of the namespace.
func (n *clusterNode) patch(resource, name string, patch map[string]any) *unstructured.Unstructured {
	n.t.Helper()
	data, err := json.Marshal(patch)
	n.must(err)
	api := podsAPI
	if resource == policiesAPI.Resource {
		api = policiesAPI
	}
	got, err := n.client.Resource(api).Namespace(namespace).Patch(context.Background(), name, types.MergePatchType, data, metav1.PatchOptions{})
	n.must(err)
	return got
}

// crowdSpec allows the clients one port of the server.
func crowdSpec(port int) map[string]any {
	app := func(name string) map[string]any { return map[string]any{"matchLabels": map[string]any{"app": name}} }
	return map[string]any{"spec": map[string]any{
		"podSelector": app("server"), "policyTypes": []any{"Ingress"},
		"ingress": []any{map[string]any{
			"from": []any{map[string]any{"podSelector": app("client")}}, "ports": []any{map[string]any{"port": port}},
		}},
	}}
}

// crowdOf makes policies from one number up to another.
func (n *clusterNode) crowdOf(from, to int) {
	n.t.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	for i := from; i < to; i++ {
		group.Go(func() error {
			o := &unstructured.Unstructured{Object: crowdSpec(i + 1)}
			o.SetAPIVersion("networking.k8s.io/v1")
			o.SetKind("NetworkPolicy")
			o.SetName(fmt.Sprintf("p%d", i))
			_, err := n.client.Resource(policiesAPI).Namespace(namespace).Create(context.Background(), o, metav1.CreateOptions{})
			return err
		})
	}
	n.must(group.Wait())
}

// remotePods makes pods of another node, which run and have an address.
func (n *clusterNode) remotePods(count int) {
	n.t.Helper()
	var group errgroup.Group
	group.SetLimit(8)
	addr := netip.MustParseAddr("10.70.0.1")
	for i := range count {
		at := addr
		addr = addr.Next()
		group.Go(func() error {
			pods := n.client.Resource(podsAPI).Namespace(namespace)
			o := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "v1", "kind": "Pod",
				"metadata": map[string]any{"name": fmt.Sprintf("pod-%d", i), "labels": map[string]any{"app": "other"}},
				"spec":     map[string]any{"nodeName": "elsewhere", "containers": []any{map[string]any{"name": "c", "image": "none"}}},
			}}
			if _, err := pods.Create(context.Background(), o, metav1.CreateOptions{}); err != nil {
				return err
			}
			status := fmt.Sprintf(`{"status": {"phase": "Running", "podIP": %q, "podIPs": [{"ip": %q}]}}`, at, at)
			_, err := pods.Patch(context.Background(), o.GetName(), types.MergePatchType, []byte(status), metav1.PatchOptions{}, "status")
			return err
		})
	}
	n.must(group.Wait())
}
