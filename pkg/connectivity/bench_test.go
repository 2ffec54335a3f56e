package connectivity_test

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// town has pods in as many workloads, in namespaces of ten workloads each.
// Policies are dealt out to the workloads in turn: each allows some neighbours
// on a port of its own; every third also judges egress, and every tenth names
// nets.
func town(pods, workloads, policies int) *policy.Snapshot {
	s := &policy.Snapshot{}
	for n := range (workloads + 9) / 10 {
		name := fmt.Sprintf("ns-%03d", n)
		s.Namespaces = append(s.Namespaces, &policy.Namespace{Name: name, Labels: selector.Labels{policy.LabelName: name, "team": fmt.Sprint(n % 7)}})
	}
	for w := range workloads {
		ns, name := fmt.Sprintf("ns-%03d", w/10), fmt.Sprintf("app-%03d", w)
		labels := selector.Labels{"app": name, "layer": fmt.Sprint(w % 3), policy.LabelNamespace: ns, policy.LabelOrchestrator: "k8s"}
		for p := w; p < pods; p += workloads {
			own := maps.Clone(labels)
			own["pod"] = fmt.Sprint(p) // as StatefulSets and Jobs have
			s.Endpoints = append(s.Endpoints, &policy.Endpoint{
				Namespace: ns, Name: fmt.Sprintf("%s-%05d", name, p), Labels: own,
				Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: ns, Name: name},
				Addrs:    []netip.Addr{netip.AddrFrom4([4]byte{10, byte(w), byte(p >> 8), byte(p)})},
				Ports:    []policy.ContainerPort{{Name: "http", Protocol: policy.TCP, Port: 80}, {Protocol: policy.TCP, Port: 9090}},
			})
		}
	}
	for i := range policies {
		s.Policies = append(s.Policies, townPolicy(i, workloads))
	}
	return s
}

func townPolicy(i, workloads int) *policy.Policy {
	w := i % workloads
	p := &policy.Policy{
		Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: fmt.Sprintf("ns-%03d", w/10), Name: fmt.Sprintf("policy-%05d", i)},
		Tier: tier.DefaultTier, Order: policy.Order(i), Types: [2]bool{true, i%3 == 0},
		Selector: selector.MustParse(fmt.Sprintf("app == 'app-%03d'", w)),
	}
	port := uint16(1000 + i)
	if i%2 == 0 {
		port = 80
	}
	neighbour := policy.Entity{
		Selector:          selector.MustParse(fmt.Sprintf("layer == '%d'", i%3)),
		NamespaceSelector: selector.MustParse(fmt.Sprintf("team == '%d'", i%7)),
	}
	to := policy.Entity{Ports: []policy.PortRange{{Min: port, Max: port}}}
	p.Rules[policy.Ingress] = []policy.Rule{{Action: policy.Allow, Protocol: policy.TCP, Source: neighbour, Destination: to}}
	if i%10 == 0 {
		from := policy.Entity{Nets: []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i), 0, 0}), 16)}}
		p.Rules[policy.Ingress] = append(p.Rules[policy.Ingress], policy.Rule{Action: policy.Allow, Protocol: policy.TCP, Source: from, Destination: to})
	}
	if p.Types[policy.Egress] {
		out := neighbour
		out.Ports = []policy.PortRange{{Min: 80, Max: 80}}
		p.Rules[policy.Egress] = []policy.Rule{{Action: policy.Allow, Protocol: policy.TCP, Destination: out}}
	}
	return p
}

// BenchmarkConnectivity is all pairs of workloads, from a snapshot to the
// verdicts. The figure to reach is 300 ms.
func BenchmarkConnectivity(b *testing.B) {
	for _, spaces := range []bool{false, true} {
		b.Run(fmt.Sprintf("pods=10000/workloads=300/policies=1000/intervals=%v", spaces), func(b *testing.B) {
			s := town(10_000, 300, 1000)
			b.ReportAllocs()
			for b.Loop() {
				pairs := connectivity.Matrix(tier.New(s, nil), tier.Enforced(), connectivity.Options{Spaces: spaces})
				if len(pairs) < 300*299 {
					b.Fatalf("%d pairs", len(pairs))
				}
			}
		})
	}
}

// BenchmarkChanges is one policy more among as many.
func BenchmarkChanges(b *testing.B) {
	s := town(10_000, 300, 1000)
	after := *s
	after.Policies = append(after.Policies[:len(after.Policies):len(after.Policies)], townPolicy(1001, 300))
	b.ReportAllocs()
	for b.Loop() {
		before, after := tier.New(s, nil), tier.New(&after, nil)
		if len(connectivity.Changes(connectivity.View{Model: before}, connectivity.View{Model: after}, connectivity.Options{})) == 0 {
			b.Fatal("no change")
		}
	}
}
