// Package calicolog reads flows from Calico's flow logs, as Calico writes them
// to files and to Elasticsearch: one JSON object a line.
//
// It looks nothing up: names are as Calico tells them (flow.Named finds what
// they mean).
package calicolog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
)

// maxLine bounds a line, in bytes.
const maxLine = 4 << 20

// Each calls f for every flow log that r has, in order. An error names the file
// and the line.
func Each(name string, r io.Reader, f func(flow.Flow) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	n := 0
	for lines.Scan() {
		n++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		rec, err := parseRecord(line)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		fl, err := rec.flow()
		if err != nil {
			return fmt.Errorf("%s:%d: %w", name, n, err)
		}
		if err := f(fl); err != nil {
			return err
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return fmt.Errorf("%s:%d: the line is longer than %d MB: expected one JSON object a line", name, n+1, maxLine>>20)
	} else if err != nil {
		return fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	return nil
}

// NewSource reads flows from what open opens, anew for each call; name is what
// errors call it.
func NewSource(name string, open func() (io.ReadCloser, error)) flow.Source {
	return &source{name, open}
}

type source struct {
	name string
	open func() (io.ReadCloser, error)
}

// each calls f for the flow logs of the filter's span.
func (s *source) each(ctx context.Context, filter flow.Filter, f func(flow.Flow) error) error {
	r, err := s.open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // nothing was written
	return Each(s.name, r, func(fl flow.Flow) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !filter.Since.IsZero() && fl.LastSeen.Before(filter.Since) || !filter.Until.IsZero() && !fl.FirstSeen.Before(filter.Until) {
			return nil
		}
		return f(fl)
	})
}

// List implements flow.Source. What is covered is what the logs are of.
func (s *source) List(ctx context.Context, filter flow.Filter) ([]flow.Flow, flow.Coverage, error) {
	var out []flow.Flow
	at := map[flow.Key]int{}
	var coverage flow.Coverage
	err := s.each(ctx, filter, func(fl flow.Flow) error {
		if coverage.From.IsZero() || fl.FirstSeen.Before(coverage.From) {
			coverage.From = fl.FirstSeen
		}
		if fl.LastSeen.After(coverage.To) {
			coverage.To = fl.LastSeen
		}
		if !filter.Match(fl.Key) {
			return nil
		}
		if i, again := at[fl.Key]; again {
			out[i].Add(fl)
			return nil
		}
		at[fl.Key] = len(out)
		out = append(out, fl)
		return nil
	})
	if err != nil {
		return nil, flow.Coverage{}, err
	}
	for i := range out {
		out[i].Settle()
	}
	slices.SortFunc(out, func(x, y flow.Flow) int { return flow.Compare(x.Key, y.Key) })
	return out, coverage, nil
}

// Follow implements flow.Source; it ends with what is read.
func (s *source) Follow(ctx context.Context, filter flow.Filter, each func(flow.Flow) error) error {
	return s.each(ctx, filter, func(fl flow.Flow) error {
		if !filter.Match(fl.Key) {
			return nil
		}
		fl.Settle()
		return each(fl)
	})
}
