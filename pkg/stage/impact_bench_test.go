package stage

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

// bigCluster is 1000 workloads of three pods in 50 namespaces, each under a policy
// of its own, a staged default-deny, and an hour's flows: ten peers for each
// workload, both ends reporting.
func bigCluster() (*policy.Snapshot, []flow.Flow) {
	const workloads, each = 1000, 20
	s := &policy.Snapshot{}
	var flows []flow.Flow
	peer := func(i int) flow.Peer {
		i %= workloads
		return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{
			Kind: policy.KindDeployment, Namespace: fmt.Sprintf("ns%02d", i/each), Name: fmt.Sprintf("app%02d", i%each)}}
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range workloads {
		w := peer(i).Workload
		if i%each == 0 {
			s.Namespaces = append(s.Namespaces, &policy.Namespace{Name: w.Namespace, Labels: selector.Labels{"kubernetes.io/metadata.name": w.Namespace}})
		}
		for k := range 3 {
			s.Endpoints = append(s.Endpoints, &policy.Endpoint{
				Namespace: w.Namespace, Name: fmt.Sprintf("%s-%d", w.Name, k), Workload: w, Node: fmt.Sprintf("n%d", k),
				Labels: selector.Labels{"app": w.Name, "projectcalico.org/namespace": w.Namespace},
				Addrs:  []netip.Addr{netip.AddrFrom4([4]byte{10, byte(k), byte(i >> 8), byte(i)})},
			})
		}
		p := &policy.Policy{
			Key:  policy.Key{Kind: policy.KindNetworkPolicy, Namespace: w.Namespace, Name: w.Name},
			Tier: tier.DefaultTier, Order: policy.Unordered, Selector: selector.Eq("app", w.Name),
		}
		p.Types[policy.Ingress] = true
		p.Rules[policy.Ingress] = []policy.Rule{{Action: policy.Allow, Protocol: policy.TCP,
			Destination: policy.Entity{Ports: []policy.PortRange{{Min: 8080, Max: 8090}}}}}
		s.Policies = append(s.Policies, p)
		for k := range 10 {
			for _, d := range []policy.Direction{policy.Egress, policy.Ingress} {
				flows = append(flows, flow.Flow{Key: flow.Key{
					Source: peer(i), Destination: peer(i + k*97 + 1), Protocol: policy.TCP, Port: uint16(8080 + k), Direction: d,
					Enforced: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow},
				}, FirstSeen: at, LastSeen: at.Add(time.Hour), Connections: 100, Completed: 100})
			}
		}
	}
	s.Policies = append(s.Policies, &policy.Policy{
		Key:  policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: "default-deny"},
		Tier: tier.DefaultTier, Order: policy.Unordered, Types: [2]bool{true, true}, StagedAction: policy.StagedSet,
	})
	return s, flows
}

// BenchmarkImpact is the report over one hour of a cluster of 1000 workloads, from
// the snapshot on.
func BenchmarkImpact(b *testing.B) {
	s, flows := bigCluster()
	for b.Loop() {
		r := Impact(tier.New(s, nil), flows, tier.Pending())
		if r.Summary.Flows.Observed != 10000 || r.Summary.Flows.WouldBlock != 10000 {
			b.Fatalf("%+v", r.Summary)
		}
	}
	b.ReportMetric(float64(len(flows)), "flows")
}

// BenchmarkReport is all of a report: impact, the trend over twelve windows in
// each of which every flow was seen, totals and coverage.
func BenchmarkReport(b *testing.B) {
	s, flows := bigCluster()
	to := flows[0].LastSeen
	for b.Loop() {
		m := tier.New(s, nil)
		r := Impact(m, flows, tier.Pending())
		windows := Windows(time.Time{}, to.Add(-time.Hour), to)
		for i := range windows {
			windows[i].Flows = flows
		}
		t := r.Follow(m, windows, time.Time{})
		groups := r.Groups(ByWorkload)
		ready := Assess(m, tier.Pending(), &Evidence{Flows: flows, Coverage: flow.Coverage{From: to.Add(-time.Hour), To: to}, Now: to})
		if len(t.Connections) != 12 || len(groups) != 10000 || ready.Selected != 1000 {
			b.Fatalf("%d windows, %d groups, %+v", len(t.Connections), len(groups), ready)
		}
	}
	b.ReportMetric(float64(len(flows)), "flows")
}

// BenchmarkImpactOfUnknownAddresses is the report over flows outside without an
// address, three of each workload, which 500 network sets of 20 nets each may hold.
func BenchmarkImpactOfUnknownAddresses(b *testing.B) {
	s, flows := bigCluster()
	for i := range 500 {
		set := &policy.NetworkSet{Key: policy.Key{Kind: policy.KindGlobalNetworkSet, Name: fmt.Sprintf("set%03d", i)}, Labels: selector.Labels{"set": fmt.Sprint(i)}}
		for k := range 20 {
			set.Nets = append(set.Nets, netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 8), byte(i), byte(k << 3)}), 29))
		}
		s.NetworkSets = append(s.NetworkSets, set)
	}
	deny := s.Policies[len(s.Policies)-1]
	for range 20 { // that decide for nobody here
		deny.Rules[policy.Egress] = append(deny.Rules[policy.Egress], policy.Rule{Action: policy.Deny, Destination: policy.Entity{
			Selector: selector.MustParse("has(set)"), NamespaceSelector: selector.MustParse("global()"),
		}})
	}
	flows = flows[:3000]
	for i := range flows {
		flows[i].Source.Workload, flows[i].Destination, flows[i].Direction = s.Endpoints[i].Workload, flow.Peer{Kind: flow.PeerNetwork}, policy.Egress
		flows[i].Port = uint16(i % 3)
	}
	for b.Loop() {
		if r := Impact(tier.New(s, nil), flows, tier.Pending()); r.Summary.Flows.Observed != 3000 || r.Summary.Flows.WouldBlock != 3000 {
			b.Fatalf("%+v", r.Summary)
		}
	}
}
