package tier_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// benchWorld has pods in apps, and policies that are dealt out to the apps in
// turn: each endpoint is selected by policies/apps of them. A policy allows its
// app's neighbour on a port of its own; the last one of an app allows port 80.
func benchWorld(pods, policies, apps int) *policy.Snapshot {
	s := &policy.Snapshot{Namespaces: []*policy.Namespace{{Name: "bench", Labels: selector.Labels{"projectcalico.org/name": "bench"}}}}
	for i := range pods {
		app := i % apps
		s.Endpoints = append(s.Endpoints, &policy.Endpoint{
			Namespace: "bench", Name: fmt.Sprintf("pod-%06d", i),
			Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: "bench", Name: fmt.Sprintf("app-%d", app)},
			Labels:   selector.Labels{"app": fmt.Sprintf("app-%d", app), "projectcalico.org/namespace": "bench", "projectcalico.org/orchestrator": "k8s"},
			Node:     "node",
			Addrs:    []netip.Addr{netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})},
		})
	}
	for i := range policies {
		app, port := i%apps, uint16(1000+i)
		if i >= policies-apps {
			port = 80
		}
		s.Policies = append(s.Policies, &policy.Policy{
			Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "bench", Name: fmt.Sprintf("policy-%06d", i)},
			Tier: tier.DefaultTier, Order: policy.Order(i), Types: [2]bool{true, false},
			Selector: selector.MustParse(fmt.Sprintf("app == 'app-%d'", app)),
			Rules: [2][]policy.Rule{{{
				Action: policy.Allow, Protocol: policy.TCP,
				Source:      policy.Entity{Selector: selector.MustParse(fmt.Sprintf("app == 'app-%d'", (app+1)%apps))},
				Destination: policy.Entity{Ports: []policy.PortRange{{Min: port, Max: port}}},
			}}},
		})
	}
	return s
}

// BenchmarkJudge asks for ingress verdicts that the last policy allows: every
// policy that selects the endpoint is walked.
func BenchmarkJudge(b *testing.B) {
	for _, selecting := range []int{10, 1000} {
		b.Run(fmt.Sprintf("pods=10000/policies=1000/selecting=%d", selecting), func(b *testing.B) {
			apps := 1000 / selecting
			s := benchWorld(10_000, 1000, apps)
			m := tier.New(s, nil)
			src := make([]tier.Peer, 1024)
			dst := make([]tier.Peer, 1024)
			for i := range src {
				d := i * 7 % 10_000
				dst[i] = tier.Peer{Endpoint: s.Endpoints[d]}
				src[i] = tier.Peer{Endpoint: s.Endpoints[(d+1)%10_000]}
			}
			if v := m.Judge(tier.Enforced(), policy.Ingress, dst[0], src[0], policy.TCP, 80); v.Action != policy.Allow {
				b.Fatalf("the last policy should allow, got %+v", v)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				m.Judge(tier.Enforced(), policy.Ingress, dst[i&1023], src[i&1023], policy.TCP, 80)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "verdicts/s")
		})
	}
}

// BenchmarkTrace is a verdict with every step to it; the last policy allows.
func BenchmarkTrace(b *testing.B) {
	for _, selecting := range []int{10, 1000} {
		b.Run(fmt.Sprintf("pods=10000/policies=1000/selecting=%d", selecting), func(b *testing.B) {
			s := benchWorld(10_000, 1000, 1000/selecting)
			m := tier.New(s, nil)
			dst, src := tier.Peer{Endpoint: s.Endpoints[0]}, tier.Peer{Endpoint: s.Endpoints[1]}
			t := m.Trace(tier.Enforced(), policy.Ingress, dst, src, policy.TCP, 80)
			if n := len(slices.Collect(t.Steps())); t.Verdict.Action != policy.Allow || n != selecting {
				b.Fatalf("%s after %d steps", t.Verdict.Action, n)
			}
			b.ReportAllocs()
			for b.Loop() {
				m.Trace(tier.Enforced(), policy.Ingress, dst, src, policy.TCP, 80)
			}
		})
	}
}

// BenchmarkModel measures making a model from nothing and after one change.
func BenchmarkModel(b *testing.B) {
	s := benchWorld(10_000, 1000, 100)
	b.Run("fresh", func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			tier.New(s, nil)
		}
	})
	after := *s
	pod := *s.Endpoints[5000]
	pod.Labels = selector.Labels{"app": "app-1", "changed": "yes", "projectcalico.org/namespace": "bench"}
	after.Endpoints = append([]*policy.Endpoint(nil), s.Endpoints...)
	after.Endpoints[5000] = &pod
	b.Run("one-pod-changed", func(b *testing.B) {
		b.ReportAllocs()
		prev := tier.New(s, nil)
		prev.Judge(tier.Enforced(), policy.Ingress, tier.Peer{Endpoint: s.Endpoints[1]}, tier.Peer{Endpoint: s.Endpoints[2]}, policy.TCP, 80)
		for range b.N {
			m := tier.New(&after, prev)
			m.Judge(tier.Enforced(), policy.Ingress, tier.Peer{Endpoint: &pod}, tier.Peer{Endpoint: s.Endpoints[2]}, policy.TCP, 80)
		}
	})
}

// BenchmarkRelabel changes one pod's labels and judges it anew.
func BenchmarkRelabel(b *testing.B) {
	s := benchWorld(100_000, 10_000, 1000)
	m := tier.New(s, nil)
	before := s.Endpoints[7]
	peer := tier.Peer{Endpoint: s.Endpoints[8]}
	variants := [2]*policy.Snapshot{}
	for i, app := range []string{"app-3", "app-7"} {
		ep := *before
		ep.Labels = selector.Labels{"app": app, "projectcalico.org/namespace": "bench", "projectcalico.org/orchestrator": "k8s"}
		next := *s
		next.Endpoints = slices.Clone(s.Endpoints)
		next.Endpoints[7] = &ep
		variants[i] = &next
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		next := variants[i&1]
		i++
		m = tier.New(next, m)
		m.Judge(tier.Enforced(), policy.Ingress, tier.Peer{Endpoint: next.Endpoints[7]}, peer, policy.TCP, 80)
	}
}

// BenchmarkMemory says how much memory a model takes with its snapshot, once
// everything has been judged once.
func BenchmarkMemory(b *testing.B) {
	heap := func() uint64 {
		runtime.GC()
		var ms runtime.MemStats
		runtime.ReadMemStats(&ms)
		return ms.HeapAlloc
	}
	for b.Loop() {
		start := heap()
		s := benchWorld(100_000, 10_000, 1000)
		m := tier.New(s, nil)
		for i, ep := range s.Endpoints {
			m.Judge(tier.Enforced(), policy.Ingress, tier.Peer{Endpoint: ep}, tier.Peer{Endpoint: s.Endpoints[(i+1)%len(s.Endpoints)]}, policy.TCP, 80)
		}
		b.ReportMetric(float64(heap()-start)/1e6, "MB")
		runtime.KeepAlive(m)
	}
}
