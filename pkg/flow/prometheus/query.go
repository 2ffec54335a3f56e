package prometheus

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// during asks for the values of an expression at every step of a segment.
func (s *source) during(ctx context.Context, query string, seg segment) (model.Matrix, error) {
	v, warnings, _, err := s.api.QueryRange(ctx, query, v1.Range{Start: seg.from, End: seg.to, Step: seg.step}, v1.WithTimeout(s.timeout))
	return matrix(v, warnings, err, query)
}

// samples asks for the samples themselves of a selector in a span that ends at t.
func (s *source) samples(ctx context.Context, selector string, span time.Duration, t time.Time) (model.Matrix, error) {
	query := selector + "[" + width(span) + "]"
	v, warnings, _, err := s.api.Query(ctx, query, t, v1.WithTimeout(s.timeout))
	return matrix(v, warnings, err, query)
}

// matrix is an answer that is whole: a server that tells a part of what it should
// would make a report of less than there was.
func matrix(v model.Value, warnings v1.Warnings, err error, query string) (model.Matrix, error) {
	if err != nil {
		return nil, err
	}
	if len(warnings) > 0 {
		return nil, fmt.Errorf("the server says that its answer may lack something: %s", strings.Join(warnings, "; "))
	}
	m, ok := v.(model.Matrix)
	if !ok {
		kind := "nothing"
		if v != nil {
			kind = "a " + v.Type().String()
		}
		return nil, fmt.Errorf("the server answered %s with %s: expected a matrix", query, kind)
	}
	for _, series := range m {
		if series == nil || len(series.Histograms) > 0 {
			return nil, fmt.Errorf("the server answered %s with what is no counter", query)
		}
	}
	return m, nil
}

// place is the number of the step that a sample is of.
func (g segment) place(t model.Time) int {
	return int((t.Time().Sub(g.from) + g.step/2) / g.step)
}

// steps is how many there are, that at from apart.
func (g segment) steps() int { return int(g.to.Sub(g.from) / g.step) }

// at is when a step ends.
func (g segment) at(step int) time.Time { return g.from.Add(time.Duration(step) * g.step) }

func sortedNames(l model.LabelSet) []model.LabelName { return slices.Sorted(maps.Keys(l)) }
