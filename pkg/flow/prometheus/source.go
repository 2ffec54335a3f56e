package prometheus

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"golang.org/x/sync/errgroup"

	"github.com/netpol-project/netpol/pkg/flow"
)

// DefaultRange is how far back flows are read where nobody says.
const DefaultRange = 14 * 24 * time.Hour

// DefaultTimeout is how long one answer may take; it is what the server itself
// allows where nobody says.
const DefaultTimeout = 2 * time.Minute

// followEvery is how often is asked what came: as often as most servers scrape.
const followEvery = 15 * time.Second

// Options are those of New.
type Options struct {
	API v1.API
	// Match are conditions on labels (ParseMatch) that say which agents are meant;
	// empty: all that the server scrapes.
	Match string
	// Range is how far back flows are read without a Filter.Since; 0 is
	// DefaultRange.
	Range time.Duration
	// Timeout of one query at the server; 0 is DefaultTimeout.
	Timeout time.Duration
	// Now is the present.
	Now func() time.Time
}

// New is a source of the flows that a Prometheus server has of netpol's agents.
func New(o Options) flow.Source {
	s := &source{api: o.API, match: o.Match, span: o.Range, timeout: o.Timeout, now: o.Now}
	if s.span == 0 {
		s.span = DefaultRange
	}
	if s.timeout == 0 {
		s.timeout = DefaultTimeout
	}
	return s
}

type source struct {
	api           v1.API
	match         string
	span, timeout time.Duration
	now           func() time.Time
	found         bool // there are agents' metrics
}

// NothingError says that the server has no agent's metrics of a span.
type NothingError struct{ Since, Until time.Time }

// Error implements error.
func (e *NothingError) Error() string {
	return fmt.Sprintf("no agent's metrics from %s to %s: %s, %s and %s are looked for",
		e.Since.UTC().Format(time.RFC3339), e.Until.UTC().Format(time.RFC3339), metricReady, metricInfo, metricFlows)
}

// List implements flow.Source. FirstSeen and LastSeen are when Prometheus heard
// of the first and last connections, at the end of a step of an hour (of five
// minutes in the hour before Until). Without Since it is the source's range.
func (s *source) List(ctx context.Context, f flow.Filter) ([]flow.Flow, flow.Coverage, error) {
	until := s.now()
	if !f.Until.IsZero() && f.Until.Before(until) {
		until = f.Until
	}
	until = until.UTC().Truncate(time.Millisecond)
	since := f.Since.UTC().Truncate(time.Millisecond)
	if f.Since.IsZero() {
		since = until.Add(-s.span)
	}
	if !since.Before(until) {
		return nil, flow.Coverage{From: since, To: since}, nil
	}
	targets, err := s.targets(ctx, since, until)
	if err == nil {
		err = twice(targets)
	}
	if err != nil {
		return nil, flow.Coverage{}, err
	}
	if s.found = s.found || len(targets) > 0; !s.found {
		return nil, flow.Coverage{}, &NothingError{since, until}
	}
	sums, err := s.sum(ctx, targets, reading{since: since, until: until, ends: []time.Time{until}, plan: plan(since, until)})
	if err != nil {
		return nil, flow.Coverage{}, err
	}
	return matching(sums[0], f), coverage(targets, since), nil
}

// reading is what is to be read: a span, by some queries, and when the spans end
// that are told apart within it, in order.
type reading struct {
	since, until time.Time
	plan         []segment
	ends         []time.Time
}

// atOnce is how many agents' counters are asked for at a time: what a server with
// its defaults answers side by side, and what bounds the memory that they take here.
const atOnce = 4

// sum adds up what all agents counted, in each of the spans.
func (s *source) sum(ctx context.Context, targets []*target, what reading) ([]map[flow.Key]*flow.Flow, error) {
	walks := make([]*walk, len(targets))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, t := range targets {
		walks[i] = newWalk(t, what)
		g.Go(func() error {
			err := s.read(ctx, walks[i], what.plan)
			walks[i].by = nil
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	all := newWalk(nil, what).sums
	for _, w := range walks {
		for i, sum := range w.sums {
			for k, f := range sum {
				if all[i][k] == nil {
					all[i][k] = f
					continue
				}
				all[i][k].Add(*f)
			}
		}
	}
	return all, nil
}

// Follow implements flow.Source: it asks again and again what came since.
func (s *source) Follow(ctx context.Context, f flow.Filter, each func(flow.Flow) error) error {
	if f.Since.IsZero() {
		f.Since = s.now()
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		f.Until = s.now().UTC().Truncate(time.Millisecond)
		flows, _, err := s.List(ctx, f)
		if err != nil {
			return err
		}
		for _, fl := range flows {
			if err := each(fl); err != nil {
				return err
			}
		}
		f.Since = f.Until
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
