package flow

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
)

var (
	compareAddrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	drawnLabels  = []map[string]string{nil, {}, {"a": "1"}, {"a": "1", "b": "2"}, {"a": "2"}}
	drawnDomains = [][]string{nil, {"a.example"}, {"a.example", "b.example"}, {"c.example"}}
	drawnTraces  = [][]Step{nil, {{Hit: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}}}, {{Hit: policy.Hit{Tier: "t", Rule: 1, Action: policy.Pass}, Index: 1}}}
)

// drawFlows draws flows of which many have one key.
func drawFlows(t *rapid.T) []Flow {
	pick := func(name string, n int) int { return rapid.IntRange(0, n-1).Draw(t, name) }
	peers := []Peer{
		{Kind: PeerWorkload, Workload: policy.Workload{Namespace: "b", Name: "x"}},
		{Kind: PeerWorkload, Workload: policy.Workload{Namespace: "a", Name: "y"}},
		{Kind: PeerNetwork, Addr: netip.MustParseAddr("192.0.2.9")},
		{Kind: PeerNetwork, Addr: netip.MustParseAddr("192.0.2.10")},
	}
	hits := []policy.Hit{{Rule: policy.NoPolicy, Action: policy.Allow}, {Tier: "t", Rule: 2, Action: policy.Deny}, {Rule: policy.Closed, Action: policy.Deny}}
	out := make([]Flow, pick("flows", 30))
	for i := range out {
		at := t0.Add(time.Duration(pick("at", 100)) * time.Second)
		out[i] = Flow{
			Key: Key{
				Source: peers[pick("source", 4)], Destination: peers[pick("destination", 4)], ServiceName: []string{"", "s"}[pick("service", 2)],
				Protocol: policy.TCP, Port: uint16(80 + pick("port", 2)), Direction: policy.Direction(pick("direction", 2)), Enforced: hits[pick("hit", 3)],
				Probe: pick("probe", 4) == 0,
			},
			FirstSeen: at, LastSeen: at.Add(time.Duration(pick("for", 60)) * time.Second),
			Connections: int64(pick("n", 9)), Completed: int64(pick("n", 9)), Live: int64(pick("n", 3)), BytesIn: int64(pick("n", 9)), PacketsOut: int64(pick("n", 9)),
			SourceLabels: maps.Clone(drawnLabels[pick("labels", 5)]), DestinationLabels: drawnLabels[pick("labels", 5)],
			Domains: slices.Clone(drawnDomains[pick("domains", 4)]), EnforcedTrace: slices.Clone(drawnTraces[pick("trace", 3)]),
		}
	}
	return out
}

// Sums are what Flow.Add makes of the flows of each key.
func TestPropertySumsAreWhatAddSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flows := drawFlows(t)
		table := NewTable()
		sums := NewSums(table)
		byKey := map[Key]Flow{}
		for i := range flows {
			f := flows[i]
			subject, counts := table.Subject(&f), f.Counts()
			if d := cmp.Diff(f, table.Flow(subject).With(&counts), compareAddrs); d != "" {
				t.Fatalf("a flow is not what was put in: %s", d)
			}
			sums.Add(sums.Find(subject), subject, &counts)
			if at, ok := byKey[f.Key]; ok {
				at.Add(f)
				f = at
			}
			byKey[f.Key] = f
		}
		want := slices.SortedFunc(maps.Values(byKey), func(a, b Flow) int { return Compare(a.Key, b.Key) })
		got := sums.Flows()
		if len(got) != len(want) {
			t.Fatalf("%d flows, want %d", len(got), len(want))
		}
		for i := range want {
			// Shared labels that are none are as good as labels that nobody tells.
			if d := cmp.Diff(want[i], got[i], compareAddrs, cmpopts.EquateEmpty()); d != "" {
				t.Fatal(d)
			}
		}
	})
}

// What is joined in place is what it is one by one.
func TestPropertyJoinedAreWhatAddSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flows := drawFlows(t)
		byKey := map[Key]Flow{}
		for _, f := range flows {
			if at, ok := byKey[f.Key]; ok {
				at.Add(f)
				f = at
			}
			byKey[f.Key] = f
		}
		want := slices.SortedFunc(maps.Values(byKey), func(a, b Flow) int { return Compare(a.Key, b.Key) })
		got := Joined(slices.Clone(flows))
		if len(got) != len(want) {
			t.Fatalf("%d flows, want %d", len(got), len(want))
		}
		for i := range want {
			if d := cmp.Diff(want[i], got[i], compareAddrs); d != "" {
				t.Fatal(d)
			}
		}
	})
}

// Merge puts the same flows together as looking through all of them would.
func TestPropertyMergeIsByEndsProtocolAndPort(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		flows := drawFlows(t)
		outside := func(p Peer) Peer { // two addresses have one name
			if p.Addr.IsValid() {
				p.Kind, p.Workload.Name, p.Addr = PeerNetworkSet, "set", netip.Addr{}
			}
			return p
		}
		left := map[string]bool{}
		for i := range flows {
			f := &flows[i]
			if f.Enforced.Rule == policy.Closed {
				continue
			}
			left[fmt.Sprint(outside(f.Source), outside(f.Destination), f.Port)] = true
		}
		merged := MergeNamed(flows, outside)
		if len(merged) != len(left) {
			t.Fatalf("%d flows, want %d", len(merged), len(left))
		}
		for i := range merged {
			o := &merged[i]
			if !left[fmt.Sprint(o.Source, o.Destination, o.Port)] {
				t.Fatalf("%+v was not seen", o)
			}
			delete(left, fmt.Sprint(o.Source, o.Destination, o.Port))
			if i > 0 && ComparePeers(merged[i-1].Source, o.Source) > 0 {
				t.Fatalf("%v is after %v", o.Source, merged[i-1].Source)
			}
		}
	})
}

func benchFlow(i int) Flow {
	at := t0.Add(time.Duration(i*7%100) * time.Second)
	return Flow{
		Key:       Key{Source: Peer{Kind: PeerNetwork, Addr: netip.MustParseAddr("192.0.2.9")}, Protocol: policy.TCP, Port: uint16(i % 100)},
		FirstSeen: at, LastSeen: at.Add(time.Minute), Connections: 3, Completed: 2, Live: 1, PacketsIn: 9, BytesOut: 5,
		SourceLabels: drawnLabels[3], Domains: drawnDomains[1],
	}
}

func BenchmarkSumsAdd(b *testing.B) {
	table := NewTable()
	sums := NewSums(table)
	var subjects [100]Subject
	var counts [100]Counts
	for i := range subjects {
		f := benchFlow(i)
		subjects[i], counts[i] = table.Subject(&f), f.Counts()
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		j := i % len(subjects)
		sums.Add(j, subjects[sums.Find(subjects[j])], &counts[j])
	}
}

func BenchmarkFlowAdd(b *testing.B) {
	f, g := benchFlow(0), benchFlow(1)
	g.Key = f.Key
	b.ReportAllocs()
	for b.Loop() {
		f.Add(g)
	}
}

// Files may say anything: sums end where nothing counts any more, rather than
// begin anew below zero.
func TestSumsDoNotRunOver(t *testing.T) {
	table := NewTable()
	sums := NewSums(table)
	f := Flow{Key: tcp(workload("vote", "vote"), workload("vote", "redis"), 6379), FirstSeen: t0, LastSeen: t0}
	subject := table.Subject(&f)
	for _, n := range []int64{math.MaxInt64, math.MaxInt64, 1, MaxCount - 1} {
		sums.Add(sums.Find(subject), subject, &Counts{FirstSeen: t0, LastSeen: t0, Connections: n, BytesIn: n})
	}
	got := sums.Flows()
	if len(got) != 1 || got[0].Connections != MaxCount || got[0].BytesIn != MaxCount {
		t.Errorf("%+v", got)
	}
}
