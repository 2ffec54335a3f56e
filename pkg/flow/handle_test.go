package flow

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// A handle counts as its key does, also when the flow was evicted or forgotten
// since the handle was last used.
func TestHandleOutlivesItsSeries(t *testing.T) {
	key := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	fill := func(a *Aggregator) { // pushes out what is there
		for i := range 100 {
			other := tcp(workload("vote", fmt.Sprintf("w%d", i)), workload("vote", "redis"), 6379)
			a.Started(other, Ends{}, t0.Add(time.Minute))
		}
	}
	for _, c := range []struct {
		what string
		lose func(*Aggregator)
	}{
		{"nothing", func(*Aggregator) {}},
		{"evicted", fill},
		{"evicted and back by its key", func(a *Aggregator) {
			fill(a)
			a.Started(key, Ends{}, t0.Add(2*time.Minute))
			a.Ended(key, Counters{}, t0.Add(2*time.Minute))
		}},
		{"forgotten", func(a *Aggregator) {
			a.Started(tcp(network("192.0.2.1"), workload("vote", "vote"), 80), Ends{}, t0.Add(48*time.Hour))
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			byHandle := NewAggregator(t0, Limits{Keys: 16, Keep: 24 * time.Hour})
			byKey := NewAggregator(t0, Limits{Keys: 16, Keep: 24 * time.Hour})
			h, batch := NewHandle(key), Batch{}
			at := t0.Add(49 * time.Hour)
			for _, when := range []time.Time{t0, at} {
				batch.Started(h, Ends{})
				batch.Existing(h, Ends{})
				batch.Ended(h, Counters{BytesIn: 7})
				batch.Ended(h, Counters{BytesIn: 8})
				byHandle.Add(&batch, when)
				byKey.Started(key, Ends{}, when)
				byKey.Existing(key, Ends{}, when)
				byKey.Ended(key, Counters{BytesIn: 7}, when)
				byKey.Ended(key, Counters{BytesIn: 8}, when)
				if when == t0 {
					c.lose(byHandle)
					c.lose(byKey)
				}
			}
			got, coverage := byHandle.List(Filter{Since: at}, at.Add(time.Minute))
			want, wantCoverage := byKey.List(Filter{Since: at}, at.Add(time.Minute))
			if coverage.Evicted != wantCoverage.Evicted {
				t.Errorf("%d evicted, want %d", coverage.Evicted, wantCoverage.Evicted)
			}
			find := func(list []Flow) (f Flow) {
				for _, f := range list {
					if f.Key == key {
						return f
					}
				}
				t.Fatal("not listed")
				return f
			}
			if g, w := find(got), find(want); g.Connections != 1 || g.Completed != 2 || g.BytesIn != 15 || g.Live != 0 || g.FirstSeen != w.FirstSeen {
				t.Errorf("by handle %+v, by key %+v", g, w)
			}
		})
	}
}

// One handle may be used while its flow comes and goes.
func TestHandleIsExactWhileOthersAreEvicted(t *testing.T) {
	a := NewAggregator(t0, Limits{Keys: 4, Keep: time.Hour})
	h := NewHandle(tcp(workload("vote", "vote"), workload("vote", "redis"), 6379))
	const n = 1000
	var batch Batch
	for i := range n {
		batch.Started(h, Ends{})
		a.Add(&batch, t0.Add(time.Duration(i)*time.Millisecond))
		from := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}).String()
		a.Denied(tcp(network(from), workload("vote", "vote"), 80), Ends{}, Counters{}, t0)
	}
	for _, f := range all(a) {
		if f.Key == *h.Key() && f.Connections == n {
			return
		}
	}
	t.Errorf("not counted %d times: %+v", n, all(a))
}

func all(a *Aggregator) []Flow {
	list, _ := a.List(Filter{}, t0.Add(time.Minute))
	return list
}
