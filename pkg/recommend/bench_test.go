package recommend

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// bigWorld is a cluster of 1000 workloads in 50 namespaces, three pods each on
// three nodes, and what an agent tells of one hour: each workload connects to nine
// others, to the cluster's DNS and to an address outside, both ends reporting.
func bigWorld() *world {
	w := &world{}
	w.namespace("kube-system")
	const namespaces, each, pods = 50, 20, 3
	n := 0
	pod := func(ns, name string, labels selector.Labels, ports ...policy.ContainerPort) {
		n++
		all := selector.Labels{"projectcalico.org/namespace": ns, "projectcalico.org/orchestrator": "k8s",
			"projectcalico.org/serviceaccount": "default", "pod-template-hash": name}
		for k, v := range labels {
			all[k] = v
		}
		w.snap.Endpoints = append(w.snap.Endpoints, &policy.Endpoint{
			Namespace: ns, Name: fmt.Sprintf("%s-%d", name, n), Node: fmt.Sprintf("n%d", n%3), Labels: all, Ports: ports,
			Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: ns, Name: name},
			Addrs:    []netip.Addr{netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})},
		})
	}
	pod("kube-system", "coredns", selector.Labels{"k8s-app": "kube-dns"}, policy.ContainerPort{Protocol: policy.UDP, Port: 53}, policy.ContainerPort{Protocol: policy.TCP, Port: 53})
	w.snap.Services = []*policy.Service{{Namespace: "kube-system", Name: "kube-dns", Selector: map[string]string{"k8s-app": "kube-dns"},
		Ports: []policy.ServicePort{{Protocol: policy.UDP, Port: 53, TargetPort: 53}, {Protocol: policy.TCP, Port: 53, TargetPort: 53}}}}
	name := func(i int) string { return fmt.Sprintf("ns%02d/app%02d", i/each, i%each) }
	for i := range namespaces * each {
		ns := fmt.Sprintf("ns%02d", i/each)
		if i%each == 0 {
			w.namespace(ns)
		}
		for range pods {
			pod(ns, fmt.Sprintf("app%02d", i%each), selector.Labels{"app": fmt.Sprintf("app%02d", i%each), "team": ns, "part-of": "shop"},
				policy.ContainerPort{Name: "http", Protocol: policy.TCP, Port: 8080}, policy.ContainerPort{Name: "metrics", Protocol: policy.TCP, Port: 9090})
		}
	}
	for i := range namespaces * each {
		for k := range 6 { // in the namespace
			w.saw(name(i), name(i/each*each+(i+k*3+1)%each), policy.TCP, 8080, "")
		}
		for k := range 3 { // elsewhere
			w.saw(name(i), name((i*7+k*131+29)%(namespaces*each)), policy.TCP, uint16(8080+k), "")
		}
		w.saw(name(i), "kube-system/coredns", policy.UDP, 53, "kube-system/kube-dns")
		w.saw(name(i), netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}).String(), policy.TCP, 443, "")
	}
	return w
}

func bigRequest() Request {
	w := bigWorld()
	req := Request{Model: tier.New(&w.snap, nil), Flows: w.flows, Tier: "default"}
	for _, ep := range w.snap.Endpoints {
		if ep.Namespace != "kube-system" {
			req.Targets = append(req.Targets, ep.Workload)
		}
	}
	return req
}

// BenchmarkRecommend is one hour of a cluster of 1000 workloads, proof included.
func BenchmarkRecommend(b *testing.B) {
	req := bigRequest()
	for b.Loop() {
		if res := Recommend(req); res.Proof.Allowed != res.Proof.Observed || res.Proof.Observed == 0 {
			b.Fatalf("%d of %d flows would be allowed", res.Proof.Allowed, res.Proof.Observed)
		}
	}
	b.ReportMetric(float64(len(req.Flows)), "flows")
}

// An hour of a cluster of 1000 workloads is answered in a second. The bound here
// is wide, for machines that do other things too.
func TestRecommendIsFastOnABigCluster(t *testing.T) {
	req := bigRequest()
	start := time.Now()
	res := Recommend(req)
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %s", d)
	}
	if len(res.Policies) != 1000 || res.Proof.Allowed != res.Proof.Observed {
		t.Errorf("%d policies, %d of %d flows allowed", len(res.Policies), res.Proof.Allowed, res.Proof.Observed)
	}
}
