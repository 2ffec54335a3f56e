package prometheus

import (
	"context"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
)

// Spans implements flow.Spanner, of spans that are equally long. Agents are
// looked for once, and counters read in steps that end where spans do, so that one
// query tells of many spans. What is later than now is empty.
func (s *source) Spans(ctx context.Context, f flow.Filter, between []time.Time) ([][]flow.Flow, error) {
	if len(between) < 2 {
		return nil, nil
	}
	out := make([][]flow.Flow, len(between)-1)
	since, until := between[0].UTC().Truncate(time.Millisecond), between[len(between)-1]
	if now := s.now(); now.Before(until) {
		until = now
	}
	until = until.UTC().Truncate(time.Millisecond)
	if !since.Before(until) {
		return out, nil
	}
	targets, err := s.targets(ctx, since, until)
	if err == nil {
		err = twice(targets)
	}
	if err != nil {
		return nil, err
	}
	sums, err := s.sum(ctx, targets, reading{since: since, until: until, ends: between[1:], plan: inSpans(between, until)})
	if err != nil {
		return nil, err
	}
	for i := range sums {
		out[i] = matching(sums[i], f)
	}
	return out, nil
}

// matching are the flows that a filter picks, sorted.
func matching(sum map[flow.Key]*flow.Flow, f flow.Filter) []flow.Flow {
	var out []flow.Flow
	for k, fl := range sum {
		if f.Match(k) {
			out = append(out, *fl)
		}
	}
	slices.SortFunc(out, func(x, y flow.Flow) int { return flow.Compare(x.Key, y.Key) })
	return out
}

// inSpans cuts equal spans into queries, up to a time, whose steps end where spans
// do.
func inSpans(between []time.Time, until time.Time) []segment {
	whole := 0
	for whole+1 < len(between) && !between[whole+1].After(until) {
		whole++
	}
	width := between[1].Sub(between[0])
	step := width / ((width + coarseStep - 1) / coarseStep)
	out := evenly(nil, between[0], between[whole], step, perQuery.Truncate(step))
	return append(out, plan(between[whole], until)...)
}
