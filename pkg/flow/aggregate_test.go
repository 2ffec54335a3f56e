package flow

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

func TestAggregatorCountsOneFlow(t *testing.T) {
	a := NewAggregator(t0, DefaultLimits())
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	src := &policy.Endpoint{Labels: selector.Labels{"app": "vote", "pod": "1"}}
	other := &policy.Endpoint{Labels: selector.Labels{"app": "vote", "pod": "2"}}
	a.Started(k, Ends{Source: src}, t0.Add(1*time.Second))
	a.Started(k, Ends{Source: other}, t0.Add(20*time.Second))
	a.Ended(k, Counters{PacketsIn: 3, PacketsOut: 5, BytesIn: 30, BytesOut: 50}, t0.Add(40*time.Second))

	want := Flow{
		Key:       k,
		FirstSeen: t0.Add(1 * time.Second), LastSeen: t0.Add(20 * time.Second),
		Connections: 2, Completed: 1, Live: 1,
		PacketsIn: 3, PacketsOut: 5, BytesIn: 30, BytesOut: 50,
		SourceLabels: map[string]string{"app": "vote"},
	}
	if d := cmp.Diff(want, only(t, a, Filter{}, t0.Add(time.Minute)), cmp.Comparer(sameAddr)); d != "" {
		t.Error(d)
	}
}

func sameAddr(a, b netip.Addr) bool { return a == b }

func TestAggregatorSpans(t *testing.T) {
	a := NewAggregator(t0, DefaultLimits())
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	for i := range 240 { // one connection a minute for four hours
		at := t0.Add(time.Duration(i) * time.Minute)
		a.Started(k, Ends{}, at)
		a.Ended(k, Counters{}, at)
	}
	now := t0.Add(240 * time.Minute)
	if f := only(t, a, Filter{}, now); f.Connections != 240 || !f.FirstSeen.Equal(t0) || !f.LastSeen.Equal(t0.Add(239*time.Minute)) {
		t.Errorf("roll-ups lose counts or times: %+v", f)
	}
	if f := only(t, a, Filter{Since: now.Add(-10 * time.Minute)}, now); f.Connections != 10 || !f.FirstSeen.Equal(now.Add(-10*time.Minute)) {
		t.Errorf("last ten minutes: %d connections first seen %v, want 10 first seen %v", f.Connections, f.FirstSeen, now.Add(-10*time.Minute))
	}
	if f := only(t, a, Filter{Until: t0.Add(time.Hour)}, now); f.Connections != 60 {
		t.Errorf("first hour: %d connections, want 60", f.Connections)
	}
	if flows, _ := a.List(Filter{Since: now.Add(time.Minute)}, now); len(flows) != 0 {
		t.Errorf("nothing was seen after now, got %+v", flows)
	}
}

func TestAggregatorForgetsAfterKeep(t *testing.T) {
	a := NewAggregator(t0, Limits{Keys: 10, Keep: 14 * 24 * time.Hour})
	old := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	a.Started(old, Ends{}, t0)
	a.Ended(old, Counters{}, t0)
	young := tcp(workload("vote", "vote"), workload("vote", "db"), 5432)
	a.Started(young, Ends{}, t0.Add(14*24*time.Hour-time.Minute))
	if flows, _ := a.List(Filter{}, t0.Add(14*24*time.Hour)); len(flows) != 2 {
		t.Fatalf("a flow of 14 days ago is gone: %+v", flows)
	}
	a.Started(young, Ends{}, t0.Add(14*24*time.Hour+2*time.Hour))
	if f := only(t, a, Filter{}, t0.Add(15*24*time.Hour)); f.Port != 5432 {
		t.Errorf("kept %+v, want the younger flow only", f.Key)
	}
}

// A clock that was ahead, and was set back, does not keep old buckets from being
// rolled up, nor from being forgotten.
func TestAggregatorRollsUpAfterTheClockWasSetBack(t *testing.T) {
	a := NewAggregator(t0, Limits{Keys: 10, Keep: 24 * time.Hour})
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	a.Started(k, Ends{}, t0.Add(1000*time.Hour))
	for i := range 4 * 60 * 30 { // 30 hours
		a.Started(k, Ends{}, t0.Add(time.Duration(i)*15*time.Second))
	}
	s := a.byKey[k]
	if len(s.fine) > 250 || len(s.coarse) > 26 {
		t.Errorf("%d fine buckets and %d coarse ones: an hour has 240, and a day 24", len(s.fine), len(s.coarse))
	}
}

func TestAggregatorLiveConnectionIsInEverySpan(t *testing.T) {
	a := NewAggregator(t0, DefaultLimits())
	k := tcp(workload("vote", "worker"), workload("vote", "db"), 5432)
	a.Started(k, Ends{}, t0)
	now := t0.Add(3 * time.Hour)
	f := only(t, a, Filter{Since: now.Add(-time.Minute)}, now)
	if f.Live != 1 || f.Connections != 0 || !f.LastSeen.Equal(t0) {
		t.Errorf("got %+v, want it live, started before the span", f)
	}
	a.Ended(k, Counters{}, now)
	if flows, _ := a.List(Filter{Since: now.Add(time.Hour)}, now.Add(2*time.Hour)); len(flows) != 0 {
		t.Errorf("an ended connection is not of later spans: %+v", flows)
	}
}

func TestS29RejudgedMovesALiveConnection(t *testing.T) {
	a := NewAggregator(t0, DefaultLimits())
	before := tcp(workload("vote", "worker"), workload("vote", "db"), 5432)
	after := before
	after.Pending = policy.Hit{Tier: "default", Rule: policy.EndOfTier, Action: policy.Deny}
	a.Started(before, Ends{}, t0)
	a.Rejudged(before, after, Ends{}, t0.Add(time.Minute))
	a.Ended(after, Counters{}, t0.Add(2*time.Minute))
	var started, completed, live int64
	flows, _ := a.List(Filter{}, t0.Add(time.Hour))
	for _, f := range flows {
		started, completed, live = started+f.Connections, completed+f.Completed, live+f.Live
	}
	if len(flows) != 2 || started != 1 || completed != 1 || live != 0 {
		t.Errorf("got %d flows, %d started, %d completed, %d live; want 2, 1, 1, 0", len(flows), started, completed, live)
	}
}

func TestAggregatorIsExactUnderConcurrency(t *testing.T) {
	a := NewAggregator(t0, DefaultLimits())
	keys := []Key{
		tcp(workload("vote", "vote"), workload("vote", "redis"), 6379),
		tcp(workload("vote", "worker"), workload("vote", "redis"), 6379),
		tcp(network("192.0.2.1"), workload("vote", "vote"), 80),
	}
	const each = 5000
	var wg sync.WaitGroup
	for w := range 5 {
		wg.Go(func() {
			for i := range each {
				k := keys[i%len(keys)]
				// Two hours of observed time, so that roll-ups run meanwhile.
				at := t0.Add(time.Duration(i*7200/each)*time.Second + time.Duration(w)*time.Millisecond)
				a.Started(k, Ends{}, at)
				a.Ended(k, Counters{PacketsIn: 1}, at)
			}
		})
	}
	wg.Wait()
	var started, completed, live, packets int64
	flows, _ := a.List(Filter{}, t0.Add(3*time.Hour))
	for _, f := range flows {
		started, completed, live, packets = started+f.Connections, completed+f.Completed, live+f.Live, packets+f.PacketsIn
	}
	if len(flows) != 3 || started != 5*each || completed != 5*each || packets != 5*each || live != 0 {
		t.Errorf("got %d flows, %d started, %d completed, %d packets, %d live", len(flows), started, completed, packets, live)
	}
}

func TestEvictionIsBoundedAndCounted(t *testing.T) {
	a := NewAggregator(t0, Limits{Keys: 64, Keep: 14 * 24 * time.Hour})
	inside := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	a.Started(inside, Ends{}, t0)
	a.Ended(inside, Counters{}, t0)
	const scans = 1000
	for i := range scans {
		from := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}).String()
		a.Denied(tcp(network(from), workload("vote", "vote"), 80), Ends{}, Counters{PacketsIn: 1}, t0.Add(time.Duration(i)*time.Second))
	}
	flows, coverage := a.List(Filter{}, t0.Add(time.Hour))
	if len(flows) > 64 {
		t.Errorf("%d flows are kept, 64 is the limit", len(flows))
	}
	if int64(len(flows))+coverage.Evicted != scans+1 {
		t.Errorf("%d kept and %d evicted are not %d", len(flows), coverage.Evicted, scans+1)
	}
	if flows[0].Key != inside {
		t.Error("a scan from outside pushed out what the workloads do")
	}
}

func TestCoverage(t *testing.T) {
	a := NewAggregator(t0, DefaultLimits())
	a.Lost(3, false, t0.Add(time.Minute))
	a.Lost(0, true, t0.Add(5*time.Hour))
	now := t0.Add(6 * time.Hour)
	_, all := a.List(Filter{}, now)
	if want := (Coverage{From: t0, To: now, Lost: 3, LostUnknown: true}); cmp.Diff(want, all) != "" {
		t.Errorf("all: got %+v, want %+v", all, want)
	}
	_, part := a.List(Filter{Since: t0.Add(2 * time.Hour), Until: t0.Add(4 * time.Hour)}, now)
	if want := (Coverage{From: t0.Add(2 * time.Hour), To: t0.Add(4 * time.Hour)}); cmp.Diff(want, part) != "" {
		t.Errorf("part: got %+v, want %+v", part, want)
	}
}

func BenchmarkAggregatorConnection(b *testing.B) {
	a := NewAggregator(t0, DefaultLimits())
	keys := make([]Key, 500)
	for i := range keys {
		keys[i] = tcp(workload("vote", fmt.Sprintf("client-%d", i)), workload("vote", "redis"), 6379)
		keys[i].Enforced = policy.Hit{Tier: "platform", Policy: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "redis"}, Action: policy.Allow}
	}
	src := &policy.Endpoint{Labels: selector.Labels{"app": "client"}}
	i := 0
	for b.Loop() {
		k := keys[i%len(keys)]
		at := t0.Add(time.Duration(i) * 40 * time.Microsecond)
		a.Started(k, Ends{Source: src, Destination: src}, at)
		a.Ended(k, Counters{PacketsIn: 1}, at)
		i++
	}
}

// A clock that is set ahead, as on a machine that began without the time of day, or
// that stood still with the machine, leaves a gap: nobody counted in it.
func TestAggregatorKnowsThatTheClockWasSetAhead(t *testing.T) {
	for _, c := range []struct {
		what    string
		by      time.Duration // that the clock goes on, in ten seconds
		kept    time.Duration // until when a process before counted, after t0
		gap     time.Duration // from t0 on, where there is one
		isThere bool
	}{
		{"it goes on", 10 * time.Second, 0, 0, false},
		{"it is put right", 50 * time.Second, 0, 0, false},
		{"it is set ahead", 8 * time.Hour, 0, 10 * time.Second, true},
		{"it is set back", -8 * time.Hour, 0, 0, false},
		{"it was kept from later", 8 * time.Hour, 3 * time.Hour, 3 * time.Hour, true},
	} {
		a := NewAggregator(t0, DefaultLimits())
		a.Own("n1")
		a.windows["n1"].To = t0.Add(c.kept).UnixNano()
		a.Tick(t0, time.Second)
		a.Tick(t0.Add(10*time.Second), 11*time.Second)
		now := t0.Add(10*time.Second + c.by)
		a.windows["n1"].To = max(a.windows["n1"].To, now.UnixNano()) // somebody may have kept it before
		a.Tick(now, 21*time.Second)
		cov := a.Coverage(Filter{}, now)
		gaps := cov.Nodes[0].Gaps
		if (len(gaps) == 1) != c.isThere || cov.LostUnknown != c.isThere {
			t.Errorf("%s: gaps %v, unknown %v", c.what, gaps, cov.LostUnknown)
			continue
		}
		if c.isThere && (!gaps[0].From.Equal(t0.Add(c.gap)) || !gaps[0].To.Equal(now)) {
			t.Errorf("%s: %v", c.what, gaps)
		}
	}
}
