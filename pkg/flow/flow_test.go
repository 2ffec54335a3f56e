package flow

import (
	"net/netip"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func workload(ns, name string) Peer {
	return Peer{Kind: PeerWorkload, Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: ns, Name: name}}
}

func network(addr string) Peer { return Peer{Kind: PeerNetwork, Addr: netip.MustParseAddr(addr)} }

func tcp(src, dst Peer, port uint16) Key {
	allow := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	return Key{
		Source: src, Destination: dst, Protocol: policy.TCP, Port: port, Direction: policy.Egress,
		Enforced: allow, Pending: allow,
	}
}

// only returns the one flow that the filter picks.
func only(t *testing.T, a *Aggregator, f Filter, now time.Time) Flow {
	t.Helper()
	flows, _ := a.List(f, now)
	if len(flows) != 1 {
		t.Fatalf("got %d flows, want 1: %+v", len(flows), flows)
	}
	return flows[0]
}

func TestFilterMatch(t *testing.T) {
	k := tcp(workload("vote", "vote"), workload("data", "redis"), 6379)
	ext := tcp(network("192.0.2.7"), workload("vote", "vote"), 80)
	probe := k
	probe.Probe = true
	for _, c := range []struct {
		name string
		f    Filter
		k    Key
		want bool
	}{
		{"the zero filter picks all", Filter{}, k, true},
		{"but no probes", Filter{}, probe, false},
		{"probes if asked for", Filter{IncludeProbes: true}, probe, true},
		{"namespace of the source", Filter{Namespaces: []string{"vote"}}, k, true},
		{"namespace of the destination", Filter{Namespaces: []string{"x", "data"}}, k, true},
		{"neither namespace", Filter{Namespaces: []string{"x"}}, k, false},
		{"workload at either end", Filter{Workload: "redis"}, k, true},
		{"other workload", Filter{Workload: "db"}, k, false},
		{"from by name", Filter{From: "vote"}, k, true},
		{"from by namespace and name", Filter{From: "vote/vote"}, k, true},
		{"from is not to", Filter{From: "redis"}, k, false},
		{"from in another namespace", Filter{From: "data/vote"}, k, false},
		{"from an address", Filter{From: "192.0.2.7"}, ext, true},
		{"from another address", Filter{From: "192.0.2.8"}, ext, false},
		{"to", Filter{To: "data/redis"}, k, true},
		{"protocol", Filter{Protocol: policy.UDP}, k, false},
		{"port", Filter{Port: 6379, Protocol: policy.TCP}, k, true},
		{"other port", Filter{Port: 6380}, k, false},
		{"action", Filter{Action: policy.Allow}, k, true},
		{"other action", Filter{Action: policy.Deny}, k, false},
	} {
		if got := c.f.Match(c.k); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
