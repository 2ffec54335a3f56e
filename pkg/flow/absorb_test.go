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

// restorer is what was kept of an Aggregator, in the order that a Restorer wants.
func restorer(t rapid.TB, c Changes, now time.Time, limits Limits) *Restorer {
	r := NewRestorer(now, limits)
	for name, value := range c.Records {
		if err := r.Record(name, value); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range c.Heads {
		r.Head(h)
	}
	for i := range c.Cells {
		r.Cell(c.Cells[i].Plane, c.Cells[i].ID, &c.Cells[i].Span)
	}
	return r
}

// What was kept, added to what was counted since, is as if one Aggregator had
// counted all of it; and what is handed out then is what was counted since.
func TestIntoAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Keys: 100, Keep: 100 * time.Hour}
		now := t0
		count := func(list ...*Aggregator) {
			for range rapid.IntRange(0, 30).Draw(t, "steps") {
				now = now.Add(time.Duration(rapid.SampledFrom([]int{0, 1, 20, 600, 3000}).Draw(t, "seconds")) * time.Second)
				k := tcp(workload("vote", fmt.Sprint("w", rapid.IntRange(0, 5).Draw(t, "key"))), workload("vote", "redis"), 6379)
				ends := Ends{Source: &policy.Endpoint{Labels: selector.Labels{"app": "vote", "pod": fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "pod"))}}}
				for _, a := range list {
					a.Denied(k, ends, Counters{PacketsIn: 1, BytesOut: 10}, now)
				}
			}
		}
		all, before := NewAggregator(t0, limits), NewAggregator(t0, limits)
		journal := before.Journal()
		count(all, before)
		kept := restorer(t, journal.Take(now), now, limits)
		since := NewAggregator(now, limits)
		box := since.Outbox()
		only := NewAggregator(now, limits)
		count(all, since, only)
		kept.Into(since, now)
		all.Denied(tcp(workload("vote", "w0"), workload("vote", "redis"), 6379), Ends{}, Counters{}, now) // all is rolled up to the present
		since.Denied(tcp(workload("vote", "w0"), workload("vote", "redis"), 6379), Ends{}, Counters{}, now)
		only.Denied(tcp(workload("vote", "w0"), workload("vote", "redis"), 6379), Ends{}, Counters{}, now)
		for _, f := range []Filter{{}, {Since: now.Add(-30 * time.Minute)}} {
			want, _ := all.List(f, now)
			got, _ := since.List(f, now)
			if d := cmp.Diff(want, got, cmp.Comparer(sameAddr)); d != "" {
				t.Fatalf("%+v: %s", f, d)
			}
		}
		told := NewAggregator(t0, limits)
		reporter := told.Reporter()
		for {
			gains, missing := box.Take(100)
			if len(gains)+len(missing) == 0 {
				break
			}
			reporter.Add(gains, missing, now)
		}
		want, _ := only.List(Filter{}, now)
		got, _ := told.List(Filter{}, now)
		sums := func(list []Flow) (out map[string]int64) {
			out = map[string]int64{}
			for i := range list {
				out[list[i].Source.Workload.Name] += list[i].Connections<<32 + list[i].BytesOut
			}
			return out
		}
		if d := cmp.Diff(sums(want), sums(got)); d != "" {
			t.Fatal("handed out:", d)
		}
	})
}

// What had not been handed out of before is in doubt by the hours that it was
// counted in, and handed out as such.
func TestUntoldOfBeforeIsInDoubt(t *testing.T) {
	limits := Limits{Keys: 100, Keep: 100 * time.Hour}
	before := NewAggregator(t0, limits)
	box := before.Outbox()
	journal := before.Journal()
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	before.Denied(k, Ends{}, Counters{}, t0)
	box.Take(10)
	before.Denied(k, Ends{}, Counters{}, t0.Add(3*time.Hour))
	now := t0.Add(5 * time.Hour)
	since := NewAggregator(now, limits)
	box = since.Outbox()
	restorer(t, journal.Take(now), now, limits).Into(since, now)
	gains, missing := box.Take(10)
	want := []Missing{{Hour: t0.Add(3 * time.Hour).UnixNano(), Unknown: true}}
	if d := cmp.Diff(want, missing); d != "" || len(gains) != 0 {
		t.Error(gains, d)
	}
	box.Doubt(time.Time{}, now)
	box.Doubt(t0.Add(2*time.Hour), t0.Add(3*time.Hour))
	if _, missing = box.Take(10); len(missing) != 3 {
		t.Errorf("%+v", missing)
	}
}
