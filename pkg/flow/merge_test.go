package flow

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
)

func TestMergeCountsWhatAPersonCounts(t *testing.T) {
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	k.ServiceNamespace, k.ServiceName = "vote", "redis"
	at := k
	at.Direction = policy.Ingress
	denied := at
	denied.Enforced = policy.Hit{Tier: "sec", Rule: policy.EndOfTier, Action: policy.Deny}
	rejudged := k
	rejudged.Pending = denied.Enforced
	direct := k
	direct.ServiceNamespace, direct.ServiceName = "", ""
	f := func(k Key, started, completed, live int64) Flow {
		return Flow{Key: k, FirstSeen: t0, LastSeen: t0, Connections: started, Completed: completed, Live: live}
	}
	for _, c := range []struct {
		name                string
		flows               []Flow
		connections, denied int64
	}{
		{"both ends report one connection", []Flow{f(k, 1, 1, 0), f(at, 1, 1, 0)}, 1, 0},
		{"by Service and directly", []Flow{f(k, 2, 2, 0), f(direct, 3, 3, 0)}, 5, 0},
		{"the destination refuses what the source lets pass", []Flow{f(k, 5, 2, 0), f(at, 2, 2, 0), f(denied, 3, 0, 0)}, 5, 3},
		{"attempts that never got far", []Flow{f(denied, 3, 0, 0)}, 3, 3},
		{"open since before the span", []Flow{f(k, 0, 0, 4)}, 4, 0},
		{"open before, ended in it", []Flow{f(k, 2, 5, 1)}, 6, 0},
		{"moved by a change of policy (S29)", []Flow{f(k, 1, 0, 0), f(rejudged, 0, 1, 0)}, 1, 0},
	} {
		got := Merge(c.flows)
		if len(got) != 1 || got[0].Connections != c.connections || got[0].Denied != c.denied {
			t.Errorf("%s: got %+v, want %d connections, %d denied", c.name, got, c.connections, c.denied)
		}
	}
}

// TestS31_WhatAForgerSaysIsNotMerged: a pod that sends with another's address
// is refused, and must not pass for that other one in a report or a
// recommendation.
func TestS31_WhatAForgerSaysIsNotMerged(t *testing.T) {
	forged := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	forged.Enforced = policy.Hit{Policy: policy.Key{Name: "spoofed"}, Rule: policy.Closed, Action: policy.Deny}
	if got := Merge([]Flow{{Key: forged, FirstSeen: t0, LastSeen: t0, Connections: 3}}); len(got) != 0 {
		t.Errorf("merged: %+v", got)
	}
}

func TestMergeKeepsTimesServicesAndOrder(t *testing.T) {
	b := tcp(workload("vote", "worker"), workload("vote", "redis"), 6379)
	a := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	viaB, viaA := a, a
	viaB.ServiceNamespace, viaB.ServiceName = "vote", "redis-b"
	viaA.ServiceNamespace, viaA.ServiceName = "vote", "redis-a"
	got := Merge([]Flow{
		{Key: b, FirstSeen: t0, LastSeen: t0, Connections: 1},
		{Key: viaB, FirstSeen: t0.Add(time.Minute), LastSeen: t0.Add(3 * time.Minute), Connections: 1},
		{Key: viaA, FirstSeen: t0, LastSeen: t0.Add(time.Minute), Connections: 1},
	})
	want := []Observed{{
		Source: a.Source, Destination: a.Destination, Protocol: policy.TCP, Port: 6379,
		Services: []string{"vote/redis-a", "vote/redis-b"}, Connections: 2,
		FirstSeen: t0, LastSeen: t0.Add(3 * time.Minute), Reported: [2]bool{policy.Egress: true},
	}, {
		Source: b.Source, Destination: b.Destination, Protocol: policy.TCP, Port: 6379, Connections: 1,
		FirstSeen: t0, LastSeen: t0, Reported: [2]bool{policy.Egress: true},
	}}
	if d := cmp.Diff(want, got, cmp.Comparer(sameAddr)); d != "" {
		t.Error(d)
	}
}
