package prometheus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
)

// target is an agent as Prometheus knows it: the labels that it was scraped with.
type target struct {
	labels model.LabelSet
	node   string
	runs   []run
	// lost are events that are known to be lost.
	lost        int64
	lostUnknown bool

	steps    map[int64]*scrape // of the segment that is read, by their end in Unix milliseconds
	told     bool              // lost events were told before,
	toldLost float64           // so many
}

// scrape is what is known of an agent at the end of a step.
type scrape struct {
	// begin and end of the step; at is the last scrape up to its end, or its begin
	// where that is not known.
	begin, end, at time.Time
	counting       bool
	start          float64 // of the process, Unix seconds; 0 if that is not known
	lost           float64 // events, from the beginning; negative if that is not known
}

// run is a span in which one process was scraped at every step.
type run struct {
	// begin and end of its steps; first is the end of the first of them.
	begin, first, end time.Time
	// from and to are the scrapes at first and at end.
	from, to time.Time
	counting bool
	start    float64
	anew     bool // another process than the run before
}

// targets are the agents that were scraped in a span, sorted.
func (s *source) targets(ctx context.Context, since, until time.Time) ([]*target, error) {
	all := map[model.Fingerprint]*target{}
	for _, seg := range evenly(nil, since, until, scrapesEvery(until.Sub(since)), scrapesOnce) {
		if err := s.scrapes(ctx, seg, all); err != nil {
			return nil, err
		}
		for _, t := range all {
			t.fold(since)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	infos, warnings, _, err := s.api.Series(ctx, []string{selector(metricInfo, s.match, nil)}, since.Add(-scrapeStep), until)
	if err == nil && len(warnings) > 0 {
		err = fmt.Errorf("the server says that its answer may lack something: %s", warnings[0])
	}
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		m := model.Metric(info)
		if t := all[targetOf(m, infoLabels()).Fingerprint()]; t != nil {
			t.node = own(m, "node")
		}
	}
	out := make([]*target, 0, len(all))
	for _, t := range all {
		if t.node == "" {
			t.node = string(t.labels[model.InstanceLabel])
		}
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *target) int { return cmp.Compare(a.labels.String(), b.labels.String()) })
	return out, nil
}

// scrapes reads when agents were scraped in a segment, and what they said of
// themselves.
func (s *source) scrapes(ctx context.Context, seg segment, all map[model.Fingerprint]*target) error {
	ready, window := selector(metricReady, s.match, nil), "["+width(scrapeStep)+"]"
	start := selector(metricStart, s.match, nil)
	for _, q := range []struct {
		query string
		put   func(t *target, sc *scrape, v float64)
	}{
		// Whether something was scraped at all, and then what the scrapes say.
		{"last_over_time(" + ready + window + ")", func(_ *target, sc *scrape, v float64) { sc.counting = v == 1 }},
		{"min_over_time(" + ready + "[" + width(seg.step) + "])", func(_ *target, sc *scrape, v float64) { sc.counting = sc.counting && v == 1 }},
		{"timestamp(" + ready + ")", func(_ *target, sc *scrape, v float64) { sc.scrapedAt(v) }},
		{"last_over_time(" + start + window + ") and last_over_time(" + ready + window + ")", func(_ *target, sc *scrape, v float64) { sc.start = v }},
		{"last_over_time(" + selector(metricLost, s.match, nil) + window + ")", func(_ *target, sc *scrape, v float64) { sc.lost = v }},
		{"max_over_time(" + selector(metricLostUnknown, s.match, nil) + window + ")", func(t *target, _ *scrape, v float64) { t.lostUnknown = t.lostUnknown || v != 0 }},
	} {
		m, err := s.during(ctx, q.query, seg)
		if err != nil {
			return err
		}
		for _, series := range m {
			fillIn(series, seg, all, q.put)
		}
	}
	return nil
}

// fillIn puts the values of one agent where they belong. What is no number says
// nothing.
func fillIn(series *model.SampleStream, seg segment, all map[model.Fingerprint]*target, put func(*target, *scrape, float64)) {
	labels := targetOf(series.Metric, nil)
	t := all[labels.Fingerprint()]
	if t == nil {
		t = &target{labels: labels, steps: map[int64]*scrape{}}
		all[labels.Fingerprint()] = t
	}
	for _, p := range series.Values {
		if v := float64(p.Value); math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		end := seg.at(seg.place(p.Timestamp))
		sc := t.steps[end.UnixMilli()]
		if sc == nil {
			sc = &scrape{begin: end.Add(-seg.step), end: end, at: end.Add(-seg.step), lost: -1}
			t.steps[end.UnixMilli()] = sc
		}
		put(t, sc, float64(p.Value))
	}
}

// scrapedAt notes when the last scrape was.
func (sc *scrape) scrapedAt(seconds float64) {
	if at := time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(); !at.After(sc.end) {
		sc.at = at
	}
}

// fold puts the steps of a segment to what is known.
func (t *target) fold(since time.Time) {
	steps := slices.SortedFunc(maps.Values(t.steps), func(a, b *scrape) int { return a.end.Compare(b.end) })
	clear(t.steps)
	for _, sc := range steps {
		var last *run
		if len(t.runs) > 0 {
			last = &t.runs[len(t.runs)-1]
		}
		begun := last != nil && anew(last.start, sc.start)
		t.loses(sc, begun, since)
		if last == nil || begun || sc.begin.After(last.end) || sc.counting != last.counting {
			t.runs = append(t.runs, run{begin: sc.begin, first: sc.end, end: sc.end, from: sc.at, to: sc.at, counting: sc.counting, start: sc.start, anew: begun})
			continue
		}
		last.end, last.to = sc.end, sc.at
		if sc.start != 0 {
			last.start = sc.start
		}
	}
}

// loses adds the events that were lost up to a scrape.
func (t *target) loses(sc *scrape, anew bool, since time.Time) {
	if sc.lost < 0 {
		return
	}
	switch {
	case t.told && sc.lost >= t.toldLost && !anew:
		t.lost += int64(sc.lost - t.toldLost)
	case t.told, sc.start >= seconds(since):
		t.lost += int64(sc.lost)
	}
	t.told, t.toldLost = true, sc.lost
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// sameStart is how far apart, in seconds, what one process says of its start may
// be: its clock is set now and then.
const sameStart = 5

// anew says whether two starts of processes, in Unix seconds, are of two. Where
// one of them is not known they are not.
func anew(before, now float64) bool { return before != 0 && now != 0 && now-before > sameStart }
