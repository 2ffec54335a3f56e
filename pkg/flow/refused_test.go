package flow

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Pods that are refused are told apart, each with the last time; what is allowed
// or older than what is asked for names nobody.
func TestRefusedPods(t *testing.T) {
	a := NewAggregator(t0, DefaultLimits())
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	denied := k
	denied.Enforced = policy.Hit{Rule: policy.EndOfTier, Action: policy.Deny}
	from := func(pod string) Ends { return Ends{Source: &policy.Endpoint{Namespace: "vote", Name: pod}} }
	a.Started(k, from("vote-1"), t0)
	a.Denied(denied, from("vote-1"), Counters{}, t0.Add(time.Second))
	a.Denied(denied, from("vote-2"), Counters{}, t0.Add(2*time.Second))
	a.Denied(denied, from("vote-1"), Counters{}, t0.Add(3*time.Second))
	a.Denied(denied, Ends{}, Counters{}, t0.Add(3*time.Second))
	at := func(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second).UTC() }
	for name, tc := range map[string]struct {
		filter Filter
		want   []RefusedPod
	}{
		"all":             {Filter{}, []RefusedPod{{"vote-1", at(3)}, {"vote-2", at(2)}}},
		"since the first": {Filter{Since: at(3)}, []RefusedPod{{"vote-1", at(3)}}},
		"until then":      {Filter{Until: at(3)}, []RefusedPod{{"vote-2", at(2)}}},
	} {
		flows, _ := a.List(tc.filter, t0.Add(time.Minute))
		for _, f := range flows {
			want := tc.want
			if f.Enforced.Action != policy.Deny {
				want = nil
			}
			if d := cmp.Diff(want, f.Refused); d != "" {
				t.Errorf("%s: %s", name, d)
			}
			if d := cmp.Diff(f.Refused, FromWire(ToWire(f)).Refused); d != "" {
				t.Errorf("%s: over the wire: %s", name, d)
			}
		}
	}
}

// In whatever order refusals come and are put together, the latest are kept.
func TestRefusedPodsAreTheLatest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		last := map[string]int64{}
		var one, other, both refusals
		for range rapid.IntRange(0, 60).Draw(t, "refusals") {
			pod, at := fmt.Sprint(rapid.IntRange(0, 14).Draw(t, "pod")), rapid.Int64Range(1, 1000).Draw(t, "at")
			last[pod] = max(last[pod], at)
			if rapid.Bool().Draw(t, "who") {
				one = one.add(pod, at)
			} else {
				other = other.add(pod, at)
			}
		}
		for _, r := range other {
			both = both.add(r.Pod, r.Last)
		}
		for _, r := range one {
			both = both.add(r.Pod, r.Last)
		}
		if len(both) != min(len(last), MaxRefused) {
			t.Fatalf("%d pods of %d", len(both), len(last))
		}
		kept := map[string]bool{}
		for _, r := range both {
			kept[r.Pod] = true
			if last[r.Pod] != r.Last {
				t.Fatalf("%s at %d, want %d", r.Pod, r.Last, last[r.Pod])
			}
		}
		for pod, at := range last {
			if !kept[pod] && at > both[len(both)-1].Last {
				t.Fatalf("%s at %d is left out", pod, at)
			}
		}
	})
}
