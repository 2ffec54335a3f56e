package keep

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a clock that stands still until it is set.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func key(n int) flow.Key {
	hit := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	return flow.Key{
		Source:      flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: "Deployment", Namespace: "vote", Name: fmt.Sprint("w", n)}},
		Destination: flow.Peer{Kind: flow.PeerNetwork, Addr: netip.MustParseAddr("192.0.2.7")},
		Protocol:    policy.TCP, Port: 443, Direction: policy.Egress, Enforced: hit, Pending: hit,
	}
}

func ends(n int) flow.Ends {
	return flow.Ends{Source: &policy.Endpoint{Labels: map[string]string{"app": "x", "n": fmt.Sprint(n)}}}
}

func (c *clock) open(t rapid.TB, dir string, limits flow.Limits) *Store {
	t.Helper()
	s := Open(Options{Dir: dir, Owner: "node-1", Limits: limits, Now: c.now})
	if p := s.Problem(); p != "" {
		t.Fatal(p)
	}
	return s
}

func list(a *flow.Aggregator, f flow.Filter, now time.Time) []flow.Flow {
	f.IncludeProbes = true
	flows, _ := a.List(f, now)
	return flows
}

// same compares flows; what is open is not kept.
func same(want, got []flow.Flow) string {
	return cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmpopts.EquateEmpty())
}

// sum adds up what an Outbox hands out, by hour and what it is of.
type sum map[told]int64

type told struct {
	hour int64
	what string
}

// within leaves what is of hours that are kept.
func (s sum) within(oldest time.Time) sum {
	out := maps.Clone(s)
	maps.DeleteFunc(out, func(k told, _ int64) bool { return k.hour < oldest.Add(2*time.Hour).UnixNano() })
	return out
}

func (s sum) take(o *flow.Outbox, n int) bool {
	gains, missing := o.Take(n)
	for _, g := range gains {
		for _, span := range g.Spans {
			hour := time.Unix(0, span.Start).Truncate(time.Hour).UnixNano()
			s[told{hour, g.Key.Source.Workload.Name + " started"}] += span.Started
			s[told{hour, g.Key.Source.Workload.Name + " bytes"}] += span.BytesIn + span.BytesOut
		}
	}
	for _, m := range missing {
		s[told{m.Hour, "lost"}] += m.Lost
		if m.Unknown {
			s[told{m.Hour, "unknown"}]++
		}
	}
	return len(gains) > 0
}

// What was kept and read again is what it would be had the process gone on, at
// any point of a history of hours and days, also what is still to be told.
func TestKeptIsAsIfItHadGoneOn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		limits := flow.Limits{Keys: rapid.SampledFrom([]int{4, 12, 20}).Draw(rt, "keys"), Keep: rapid.SampledFrom([]time.Duration{3 * time.Hour, 48 * time.Hour}).Draw(rt, "keep")}
		c := &clock{t0}
		alone := flow.NewAggregator(t0, limits)
		aloneBox := alone.Outbox()
		store := c.open(rt, dir, limits)
		box := store.Flows().Outbox()
		sums := [2]sum{{}, {}}
		both := func(f func(*flow.Aggregator)) { f(alone); f(store.Flows()) }
		rt.Repeat(map[string]func(*rapid.T){
			"denied": func(rt *rapid.T) {
				n, at := rapid.IntRange(0, 14).Draw(rt, "flow"), c.at.Add(-time.Duration(rapid.IntRange(0, 90).Draw(rt, "late"))*time.Minute)
				both(func(a *flow.Aggregator) { a.Denied(key(n), ends(n), flow.Counters{PacketsIn: 1, BytesOut: 60}, at) })
			},
			"a connection": func(rt *rapid.T) {
				n := rapid.IntRange(0, 14).Draw(rt, "flow")
				both(func(a *flow.Aggregator) {
					a.Started(key(n), ends(n%2), c.at)
					a.Ended(key(n), flow.Counters{PacketsIn: 3, BytesIn: 4000}, c.at)
				})
			},
			"reported": func(rt *rapid.T) {
				n, hours := rapid.IntRange(0, 14).Draw(rt, "flow"), rapid.IntRange(0, 3).Draw(rt, "hours")
				start := c.at.Add(-time.Duration(hours) * time.Hour).Truncate(time.Hour).UnixNano()
				g := flow.Gain{Key: key(n), First: start + 1, Last: start + 2, Spans: []flow.Span{{Start: start, Coarse: true, First: start + 1, Last: start + 2, Started: 2}}}
				both(func(a *flow.Aggregator) { a.Reporter().Add([]flow.Gain{g}, nil, c.at) })
			},
			"lost": func(rt *rapid.T) {
				n := rapid.Int64Range(0, 3).Draw(rt, "n")
				both(func(a *flow.Aggregator) { a.Lost(n, n == 0, c.at) })
			},
			"time passes": func(rt *rapid.T) {
				c.at = c.at.Add(time.Duration(rapid.SampledFrom([]int{1, 20, 300, 3000, 9000}).Draw(rt, "seconds")) * time.Second)
			},
			"written": func(rt *rapid.T) {
				if err := store.Sync(); err != nil {
					rt.Fatal(err)
				}
			},
			"told": func(rt *rapid.T) {
				n := rapid.IntRange(1, 20).Draw(rt, "flows")
				sums[0].take(aloneBox, n)
				sums[1].take(box, n)
			},
			"told all": func(rt *rapid.T) {
				for sums[0].take(aloneBox, 100) {
				}
				for sums[1].take(box, 100) {
				}
				// What is told of flows that were dropped is not kept.
				if alone.Coverage(flow.Filter{}, c.at).Evicted == 0 {
					oldest := c.at.Add(-limits.Keep)
					if d := cmp.Diff(sums[0].within(oldest), sums[1].within(oldest)); d != "" {
						rt.Fatal(d)
					}
				}
			},
			"opened again": func(rt *rapid.T) {
				c.at = c.at.Add(2 * time.Minute)
				if err := store.Close(); err != nil {
					rt.Fatal(err)
				}
				store = c.open(rt, dir, limits)
				box = store.Flows().Resume()
				// It is rolled up when it is read, and the other with what comes next.
				c.at = c.at.Add(2 * time.Minute)
				both(func(a *flow.Aggregator) { a.Denied(key(0), flow.Ends{}, flow.Counters{}, c.at) })
			},
			"": func(rt *rapid.T) {
				for _, f := range []flow.Filter{{}, {Since: c.at.Add(-30 * time.Minute)}, {Since: c.at.Add(-20 * time.Hour), Until: c.at.Add(-time.Hour)}} {
					if d := same(list(alone, f, c.at), list(store.Flows(), f, c.at)); d != "" {
						rt.Fatalf("%+v: %s", f, d)
					}
					want, got := alone.Coverage(f, c.at), store.Flows().Coverage(f, c.at)
					if d := cmp.Diff(want, got); d != "" {
						rt.Fatalf("coverage %+v: %s", f, d)
					}
				}
			},
		})
		if err := store.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}
