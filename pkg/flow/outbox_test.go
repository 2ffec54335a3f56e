package flow

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// TestOutboxAddsUp: whatever is observed and whenever it is handed out, the sum
// elsewhere is what there is here.
func TestOutboxAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Keys: rapid.SampledFrom([]int{3, 1000}).Draw(t, "keys"), Keep: 100 * time.Hour}
		here := NewAggregator(t0, limits)
		there := NewAggregator(t0, Limits{Keys: 1000, Keep: 100 * time.Hour})
		out, reporter := here.Outbox(), there.Reporter()
		now := t0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 20, 600, 3000}).Draw(t, "seconds")) * time.Second)
			at := now.Add(-time.Duration(rapid.IntRange(0, 40).Draw(t, "late")) * time.Second)
			k := tcp(workload("vote", fmt.Sprint("w", rapid.IntRange(0, 5).Draw(t, "key"))), workload("vote", "redis"), 6379)
			pod := fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "pod"))
			ends := Ends{Source: &policy.Endpoint{Name: pod, Labels: selector.Labels{"app": "vote", "pod": pod}}}
			switch rapid.SampledFrom([]string{"start", "end", "deny", "existing", "again", "take", "server", "lost"}).Draw(t, "what") {
			case "start":
				here.Started(k, ends, at)
			case "end":
				here.Ended(k, Counters{PacketsIn: 1, BytesIn: 10, PacketsOut: 2, BytesOut: 20}, at)
			case "deny":
				here.Denied(k, ends, Counters{PacketsIn: 1}, at)
			case "existing":
				here.Existing(k, ends, at)
			case "again":
				here.Again(k, Counters{PacketsIn: 1}, at)
			case "lost":
				here.Lost(3, true, at)
			case "take":
				gains, missing := out.Take(2)
				reporter.Add(gains, missing, now)
			case "server": // begins anew
				there = NewAggregator(t0, Limits{Keys: 1000, Keep: 100 * time.Hour})
				reporter = there.Reporter()
				out.Restart()
			}
		}
		drain(out, reporter, now)
		want, covered := here.List(Filter{}, now)
		got, coverage := there.List(Filter{}, now)
		if d := cmp.Diff(covered, coverage); d != "" {
			t.Fatal(d)
		}
		if limits.Keys > 3 { // else what was evicted here is kept there
			if d := cmp.Diff(want, got, cmp.Comparer(sameAddr)); d != "" {
				t.Fatal(d)
			}
			return
		}
		live := map[Key]int64{}
		for _, f := range want {
			live[f.Key] = f.Live
		}
		for _, f := range got {
			if f.Live != live[f.Key] {
				t.Fatalf("%v: %d open there, %d here", f.Key, f.Live, live[f.Key])
			}
		}
	})
}

func drain(out *Outbox, r *Reporter, now time.Time) {
	for {
		gains, missing := out.Take(1)
		if len(gains)+len(missing) == 0 {
			return
		}
		r.Add(gains, missing, now)
	}
}

func TestReporterEnds(t *testing.T) {
	a := NewAggregator(t0, DefaultLimits())
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	one, two := a.Reporter(), a.Reporter()
	for _, r := range []*Reporter{one, two} {
		r.Add([]Gain{{Key: k, Live: 2, Spans: []Span{{Start: t0.UnixNano(), First: t0.UnixNano(), Last: t0.UnixNano(), Started: 2}}}}, nil, t0)
	}
	one.End()
	if f := only(t, a, Filter{}, t0.Add(time.Second)); f.Live != 2 || f.Connections != 4 {
		t.Errorf("%d open of %d, want 2 of 4", f.Live, f.Connections)
	}
	two.Add([]Gain{{Key: k, Live: -5}}, nil, t0)
	if f := only(t, a, Filter{}, t0.Add(time.Second)); f.Live != 0 {
		t.Errorf("%d open", f.Live)
	}
}

func TestReporterClockAhead(t *testing.T) {
	a := NewAggregator(t0, DefaultLimits())
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	ahead := t0.Add(24 * time.Hour).UnixNano()
	a.Reporter().Add([]Gain{{Key: k, Spans: []Span{{Start: ahead, First: ahead, Last: ahead, Started: 1}}}}, nil, t0)
	if f := only(t, a, Filter{}, t0.Add(time.Second)); f.LastSeen.After(t0) || f.Connections != 1 {
		t.Errorf("seen at %v", f.LastSeen)
	}
}
