package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Source is the flows of a recording. It is for one goroutine.
type Source struct {
	name string
	open func() (io.ReadCloser, error)
	r    *reader // what is open, and read as far as the first flow
	seen *reader // the last one that was read to its end
	// edges of windows that List counts in, and what began in them by flow
	edges []time.Time
	began [][]int64
}

// Open opens a recording; open is called anew for each List and Follow. name is
// what errors call it.
func Open(name string, open func() (io.ReadCloser, error)) (*Source, error) {
	s := &Source{name: name, open: open}
	return s, s.ready()
}

func (s *Source) ready() error {
	if s.r != nil {
		return nil
	}
	file, err := s.open()
	if err != nil {
		return err
	}
	s.r, err = newReader(s.name, file, s.seen)
	return err
}

// World is what flows are judged by, as far as the recording was read: what is
// before its flows, and after List all of it. It has no policies.
func (s *Source) World() *policy.Snapshot {
	if s.seen != nil {
		return s.seen.world.snapshot()
	}
	return s.r.world.snapshot()
}

// Created is when recording began.
func (s *Source) Created() time.Time {
	if s.seen != nil {
		return s.seen.header.Created
	}
	return s.r.header.Created
}

// Note says what is wrong with a recording that was read, "" if nothing is.
func (s *Source) Note() string {
	if s.seen == nil || !s.seen.cut {
		return ""
	}
	if s.seen.last.IsZero() {
		return fmt.Sprintf("the recording %s was cut off before its first flow", s.name)
	}
	records := fmt.Sprintf("%d records", s.seen.records)
	if s.seen.records == 1 {
		records = "1 record"
	}
	return fmt.Sprintf("the recording %s was cut off after %s: what comes after %s is missing",
		s.name, records, s.seen.last.UTC().Format(time.RFC3339))
}

// each calls f for the records of the filter's span.
func (s *Source) each(ctx context.Context, filter flow.Filter, f func(*flow.Table, *record) error) error {
	if err := s.ready(); err != nil {
		return err
	}
	r := s.r
	s.r = nil
	defer r.close()
	for n := 0; ; n++ {
		if n%1024 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		rec, err := r.next()
		if errors.Is(err, io.EOF) {
			r.known = nil // of no use any more, and large
			s.seen = r
			return nil
		}
		if err != nil {
			return err
		}
		if !filter.Since.IsZero() && rec.LastSeen.Before(filter.Since) || !filter.Until.IsZero() && !rec.FirstSeen.Before(filter.Until) {
			continue
		}
		if err := f(r.known.table, &rec); err != nil {
			return err
		}
	}
}

// Promised is what the recording's first line says that it is evidence of, as far
// as the filter asks for it. Its last line may say otherwise.
func (s *Source) Promised(filter flow.Filter) flow.Coverage {
	r := s.seen
	if r == nil {
		r = s.r
	}
	return within(r.header.Coverage.flow(), filter)
}

// CountIn has List count, too, how many connections of each flow began in some
// windows of time (flow.Counts.Spread). It takes 8 bytes a window and flow.
func (s *Source) CountIn(edges []time.Time) { s.edges = edges }

// Began is, of each flow that List returned, how many connections began in each
// of the windows; nil: none in any. ok is false where these were not counted in. It
// is told once.
func (s *Source) Began(edges []time.Time) (began [][]int64, ok bool) {
	began, s.began = s.began, nil
	return began, began != nil && slices.EqualFunc(s.edges, edges, time.Time.Equal)
}

// List implements flow.Source. Of a record that reaches into the span all is
// counted; what is open is what the last record says.
func (s *Source) List(ctx context.Context, filter flow.Filter) ([]flow.Flow, flow.Coverage, error) {
	var sums *flow.Sums
	var began [][]int64 // by the numbers of sums
	err := s.each(ctx, filter, func(table *flow.Table, rec *record) error {
		if sums == nil {
			sums = flow.NewSums(table)
		}
		if rec.passes == unknown {
			rec.passes = no
			if filter.Match(table.Flow(rec.Subject).Key) {
				rec.passes, rec.sum = yes, sums.Find(rec.Subject)
			}
		}
		if rec.passes == yes {
			counts := flow.Counts(rec.counts)
			sums.Add(rec.sum, rec.Subject, &counts).Live = rec.Live
			if counts.Touches(s.edges) {
				began = s.count(began, rec.sum, &counts)
			}
		}
		return nil
	})
	if err != nil {
		return nil, flow.Coverage{}, err
	}
	out, numbers := []flow.Flow{}, []int32(nil)
	if sums != nil {
		out, numbers = sums.Numbered()
	}
	if s.edges != nil {
		s.began = make([][]int64, len(out))
		for i, n := range numbers {
			if int(n) < len(began) {
				s.began[i] = began[n]
			}
		}
	}
	return out, within(s.seen.coverage(), filter), nil
}

// count counts a record in the windows, of the sum of that number.
func (s *Source) count(began [][]int64, sum int, c *flow.Counts) [][]int64 {
	for len(began) <= sum {
		began = append(began, nil)
	}
	if began[sum] == nil {
		began[sum] = make([]int64, len(s.edges)-1)
	}
	c.Spread(s.edges, began[sum])
	return began
}

// within is a coverage as far as the filter asks for it.
func within(c flow.Coverage, f flow.Filter) flow.Coverage {
	if f.Since.After(c.From) {
		c.From = f.Since.UTC()
	}
	if !f.Until.IsZero() && f.Until.Before(c.To) {
		c.To = f.Until.UTC()
	}
	return c
}

// Follow implements flow.Source; it ends with what is read.
func (s *Source) Follow(ctx context.Context, filter flow.Filter, each func(flow.Flow) error) error {
	return s.each(ctx, filter, func(table *flow.Table, rec *record) error {
		if rec.passes == no {
			return nil
		}
		counts := flow.Counts(rec.counts)
		f := table.Flow(rec.Subject).With(&counts)
		if rec.passes == unknown && !filter.Match(f.Key) {
			rec.passes = no
			return nil
		}
		rec.passes = yes
		return each(f)
	})
}
