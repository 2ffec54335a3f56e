package flow

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
)

// A batch counts as the same told one by one, also of flows that were evicted
// since their connections began.
func TestBatchCountsAsOneByOne(t *testing.T) {
	pods := []*policy.Endpoint{
		{Labels: map[string]string{"app": "a", "v": "1"}}, {Labels: map[string]string{"app": "a", "v": "2"}}, nil,
	}
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Keys: 100, Keep: time.Hour}
		batched, single := NewAggregator(t0, limits), NewAggregator(t0, limits)
		var keys []Key
		var handles []*Handle
		for i := range 4 {
			keys = append(keys, tcp(workload("shop", "client"), workload("shop", fmt.Sprintf("w%d", i)), 80))
			handles = append(handles, NewHandle(keys[i]))
		}
		var batch Batch
		at := t0
		for range rapid.IntRange(1, 20).Draw(t, "batches") {
			at = at.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "seconds")) * time.Second)
			for range rapid.IntRange(0, 20).Draw(t, "events") {
				i := rapid.IntRange(0, len(keys)-1).Draw(t, "flow")
				ends := Ends{rapid.SampledFrom(pods).Draw(t, "from"), rapid.SampledFrom(pods).Draw(t, "to")}
				c := Counters{PacketsIn: 1, PacketsOut: 2, BytesIn: 3, BytesOut: 4}
				switch rapid.IntRange(0, 3).Draw(t, "kind") {
				case 0:
					batch.Started(handles[i], ends)
					single.Started(keys[i], ends, at)
				case 1:
					batch.Existing(handles[i], ends)
					single.Existing(keys[i], ends, at)
				default: // more ends than starts
					batch.Ended(handles[i], c)
					single.Ended(keys[i], c, at)
				}
			}
			batched.Add(&batch, at)
		}
		list := func(a *Aggregator) string {
			flows, _ := a.List(Filter{}, at.Add(time.Minute))
			return fmt.Sprintf("%+v", flows)
		}
		if got, want := list(batched), list(single); got != want {
			t.Fatalf("in batches\n%s\none by one\n%s", got, want)
		}
	})
}
