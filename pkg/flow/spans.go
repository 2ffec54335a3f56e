package flow

import (
	"context"
	"time"
)

// Spanner is a Source that reads spans of time which follow each other at once,
// for less than what it costs to read each of them.
type Spanner interface {
	// Spans are the flows of the spans between the times given, which are in order,
	// each as List has them. What the filter says of time does not count.
	Spans(ctx context.Context, f Filter, between []time.Time) ([][]Flow, error)
}

// Spans are the flows of spans of time that follow each other, as Spanner has
// them: of a source that is none, each span for itself.
func Spans(ctx context.Context, source Source, f Filter, between []time.Time) ([][]Flow, error) {
	if s, ok := source.(Spanner); ok {
		return s.Spans(ctx, f, between)
	}
	var out [][]Flow
	for i := 1; i < len(between); i++ {
		f.Since, f.Until = between[i-1], between[i]
		flows, _, err := source.List(ctx, f)
		if err != nil {
			return nil, err
		}
		out = append(out, flows)
	}
	return out, nil
}

// Spans implements Spanner.
func (m metrics) Spans(ctx context.Context, f Filter, between []time.Time) ([][]Flow, error) {
	return Spans(ctx, m.Source, f, between)
}

// Spans implements Spanner.
func (s *kinds) Spans(ctx context.Context, f Filter, between []time.Time) ([][]Flow, error) {
	out, err := Spans(ctx, s.source, f, between)
	for i := range out {
		out[i], _ = s.known(out[i])
	}
	return out, err
}
