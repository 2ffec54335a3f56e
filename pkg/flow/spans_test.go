package flow

import (
	"context"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// listed is a source that has one flow in each span, of the workload that it is
// made of, as many connections as the span has minutes.
type listed struct {
	w     policy.Workload
	calls int
}

// List implements Source.
func (l *listed) List(_ context.Context, f Filter) ([]Flow, Coverage, error) {
	l.calls++
	return []Flow{{Key: Key{Source: Peer{Kind: PeerWorkload, Workload: l.w}}, Connections: int64(f.Until.Sub(f.Since) / time.Minute)}}, Coverage{}, nil
}

// Follow implements Source.
func (*listed) Follow(context.Context, Filter, func(Flow) error) error { return nil }

// spanned is one that reads spans at once.
type spanned struct{ listed }

// Spans implements Spanner.
func (s *spanned) Spans(ctx context.Context, f Filter, between []time.Time) ([][]Flow, error) {
	out, err := Spans(ctx, &s.listed, f, between)
	s.calls = 1
	return out, err
}

// Spans are read at once where a source can, also behind what gives kinds to its
// workloads; what is several workloads' is nobody's in each of them.
func TestSpans(t *testing.T) {
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	between := []time.Time{start, start.Add(time.Minute), start.Add(3 * time.Minute)}
	names := &Names{named: map[string]policy.Workload{
		"shop/web": {Kind: policy.KindDeployment, Namespace: "shop", Name: "web"},
		"shop/two": {Namespace: "shop", Name: "two"},
	}}
	for _, name := range []string{"web", "two"} {
		one, all := &listed{w: policy.Workload{Namespace: "shop", Name: name}}, &spanned{listed{w: policy.Workload{Namespace: "shop", Name: name}}}
		for calls, source := range map[int]Source{2: WithKinds(FromMetrics(one), names), 1: WithKinds(FromMetrics(all), names)} {
			got, err := Spans(t.Context(), source, Filter{}, between)
			if err != nil || len(got) != 2 {
				t.Fatal(name, got, err)
			}
			for i, want := range []int64{1, 2} {
				switch {
				case name == "two" && len(got[i]) > 0:
					t.Errorf("%s, %d calls: %+v", name, calls, got[i])
				case name == "web" && (len(got[i]) != 1 || got[i][0].Connections != want || got[i][0].Source.Workload.Kind != policy.KindDeployment):
					t.Errorf("%s, %d calls: %+v", name, calls, got[i])
				}
			}
		}
		if one.calls != 2 || all.calls != 1 {
			t.Errorf("%s: %d and %d calls", name, one.calls, all.calls)
		}
	}
}
