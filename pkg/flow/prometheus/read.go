package prometheus

import (
	"context"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

// read adds up what one agent counted.
func (s *source) read(ctx context.Context, w *walk, segments []segment) error {
	flows := selector(metricFlows, s.match, w.t.labels)
	if err := s.baseline(ctx, w, flows, segments[0].from); err != nil {
		return err
	}
	for _, seg := range segments {
		if runs := w.t.runs; len(runs) == 0 || runs[0].begin.After(seg.to) || runs[len(runs)-1].end.Before(seg.from) {
			continue // it was not there then
		}
		if err := s.segment(ctx, w, flows, seg); err != nil {
			return err
		}
	}
	return nil
}

// baseline reads what was counted when the span began, of what was scraped then:
// as far back as targets takes an agent for scraped, failed scrapes apart. What is
// not there begins at 0.
func (s *source) baseline(ctx context.Context, w *walk, flows string, at time.Time) error {
	m, err := s.during(ctx, "last_over_time("+flows+"["+width(scrapeStep)+"])", segment{from: at, to: at, step: time.Second})
	if err != nil {
		return err
	}
	was := sample{at: at}
	if r := w.t.last(at); r != nil {
		was.start = r.start
	}
	for _, series := range m {
		c := w.counter(series.Metric)
		for _, p := range series.Values {
			c.known, c.v, c.start = true, float64(p.Value), was.start
		}
	}
	return nil
}

// segment reads the steps of a segment.
func (s *source) segment(ctx context.Context, w *walk, flows string, seg segment) error {
	last, err := s.during(ctx, "last_over_time("+flows+"["+width(seg.step)+"])", seg)
	if err != nil {
		return err
	}
	broken, err := s.broken(ctx, w.t, flows, seg)
	if err != nil {
		return err
	}
	exact := map[int]map[model.Fingerprint][]sample{}
	for _, step := range broken {
		if exact[step], err = s.exact(ctx, w.t, flows, seg, step); err != nil {
			return err
		}
	}
	for _, series := range last {
		c, id := w.counter(series.Metric), series.Metric.Fingerprint()
		for _, p := range series.Values {
			step := seg.place(p.Timestamp)
			if step == 0 { // the baseline, or the end of the segment before
				continue
			}
			w.step(seg.at(step))
			if samples, ok := exact[step]; ok {
				for _, one := range samples[id] {
					w.add(c, one)
				}
				continue
			}
			one := sample{at: seg.at(step), v: float64(p.Value), begun: true}
			if r := w.t.last(one.at); r != nil {
				one.start = r.start
				if r.to.Before(one.at) {
					one.at = r.to
				}
			}
			w.add(c, one)
		}
	}
	return nil
}

// broken are the steps that one value does not stand for: an agent began anew in
// them, or was first scraped.
func (s *source) broken(ctx context.Context, t *target, flows string, seg segment) ([]int, error) {
	var out []int
	window := flows + "[" + width(seg.step) + "]"
	m, err := s.during(ctx, "max(resets("+window+")) > 0 or max(last_over_time("+window+" offset "+width(seg.step)+") - min_over_time("+window+")) > 0", seg)
	if err != nil {
		return nil, err
	}
	for _, series := range m {
		for _, p := range series.Values {
			out = append(out, seg.place(p.Timestamp))
		}
	}
	for i, r := range t.runs {
		if i > 0 && !r.anew || i == 0 && !r.first.After(seg.from) {
			continue
		}
		for step := 1; step <= seg.steps(); step++ {
			if r.begin.Before(seg.at(step)) && r.first.After(seg.at(step-1)) {
				out = append(out, step)
			}
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(step int) bool { return step < 1 }), nil
}

// exact are all samples of a step, by series.
func (s *source) exact(ctx context.Context, t *target, flows string, seg segment, step int) (map[model.Fingerprint][]sample, error) {
	end := seg.at(step)
	starts, err := s.samples(ctx, selector(metricStart, s.match, t.labels), seg.step, end)
	if err != nil {
		return nil, err
	}
	began := map[model.Time]float64{}
	for _, series := range starts {
		for _, p := range series.Values {
			began[p.Timestamp] = float64(p.Value)
		}
	}
	first, err := s.firstScrape(ctx, t, seg, step)
	if err != nil {
		return nil, err
	}
	m, err := s.samples(ctx, flows, seg.step, end)
	if err != nil {
		return nil, err
	}
	out := make(map[model.Fingerprint][]sample, len(m))
	for _, series := range m {
		list := make([]sample, 0, len(series.Values))
		for _, p := range series.Values {
			at := p.Timestamp.Time().UTC()
			list = append(list, sample{at: at, v: float64(p.Value), start: began[p.Timestamp], begun: at.After(first)})
		}
		out[series.Metric.Fingerprint()] = list
	}
	return out, nil
}

// firstScrape is when the agent was first scraped, as far as that matters to a
// step; the zero time if that was before it.
func (s *source) firstScrape(ctx context.Context, t *target, seg segment, step int) (time.Time, error) {
	if !t.runs[0].first.After(seg.at(step - 1)) {
		return time.Time{}, nil
	}
	m, err := s.samples(ctx, selector(metricReady, s.match, t.labels), seg.step, seg.at(step))
	if err != nil || len(m) == 0 || len(m[0].Values) == 0 {
		return seg.at(step), err
	}
	return m[0].Values[0].Timestamp.Time().UTC(), nil
}
