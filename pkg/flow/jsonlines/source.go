package jsonlines

import (
	"context"
	"errors"
	"io"

	"github.com/netpol-project/netpol/pkg/flow"
)

// Source is flows of a file; it implements flow.Source.
type Source struct {
	// Open opens the file, anew for each call.
	Open func() (io.ReadCloser, error)
	// Each calls f for every flow of r in order, and closes r. It returns how many
	// connections it could not tell; of how many more is not known then.
	Each func(r io.ReadCloser, f func(*flow.Flow) error) (lost int64, err error)
	// Settle is what is done to a flow when all of it is added up.
	Settle func(*flow.Flow)
	// Cut is told of a file that ends within a line, or within what it is packed
	// by, after how many flows; what comes after them is lost. nil: it is an error.
	Cut func(flows int64)
}

// each calls f for the flows of the filter's span. missing says that there were
// more of them, and nobody knows how many.
func (s *Source) each(ctx context.Context, filter flow.Filter, f func(*flow.Flow) error) (lost int64, missing bool, err error) {
	r, err := s.Open()
	if err != nil {
		return 0, false, err
	}
	var read int64
	lost, err = s.Each(r, func(fl *flow.Flow) error {
		read++
		if err := ctx.Err(); err != nil {
			return err
		}
		if !filter.Since.IsZero() && fl.LastSeen.Before(filter.Since) || !filter.Until.IsZero() && !fl.FirstSeen.Before(filter.Until) {
			return nil
		}
		return f(fl)
	})
	if s.Cut != nil && errors.Is(err, io.ErrUnexpectedEOF) {
		s.Cut(read)
		return lost, true, nil
	}
	return lost, lost > 0, err
}

// List implements flow.Source. What is covered is from the first flow to the last.
func (s *Source) List(ctx context.Context, filter flow.Filter) ([]flow.Flow, flow.Coverage, error) {
	table := flow.NewTable()
	sums := flow.NewSums(table)
	var coverage flow.Coverage
	lost, missing, err := s.each(ctx, filter, func(fl *flow.Flow) error {
		if coverage.From.IsZero() || fl.FirstSeen.Before(coverage.From) {
			coverage.From = fl.FirstSeen
		}
		if fl.LastSeen.After(coverage.To) {
			coverage.To = fl.LastSeen
		}
		if filter.Match(fl.Key) {
			subject, counts := table.Subject(fl), fl.Counts()
			sums.Add(sums.Find(subject), subject, &counts)
		}
		return nil
	})
	if err != nil {
		return nil, flow.Coverage{}, err
	}
	out := sums.Flows()
	for i := range out {
		s.Settle(&out[i])
	}
	coverage.Lost, coverage.LostUnknown = lost, missing
	return out, coverage, nil
}

// Follow implements flow.Source; it ends with what is read.
func (s *Source) Follow(ctx context.Context, filter flow.Filter, each func(flow.Flow) error) error {
	_, _, err := s.each(ctx, filter, func(fl *flow.Flow) error {
		if !filter.Match(fl.Key) {
			return nil
		}
		s.Settle(fl)
		return each(*fl)
	})
	return err
}
