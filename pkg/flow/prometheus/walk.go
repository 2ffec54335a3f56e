package prometheus

import (
	"math"
	"sort"
	"time"

	"github.com/prometheus/common/model"

	"github.com/netpol-project/netpol/pkg/flow"
)

// walk goes along the samples of one agent's counters, oldest first, and adds up
// what they gain.
type walk struct {
	t     *target
	since time.Time
	by    map[model.Fingerprint]*counter
	// sums are those of the spans that are told apart, ends when these end, and
	// sum the one that a step is of.
	sums []map[flow.Key]*flow.Flow
	ends []time.Time
	sum  map[flow.Key]*flow.Flow
}

func newWalk(t *target, what reading) *walk {
	w := &walk{t: t, since: what.since, ends: what.ends, by: map[model.Fingerprint]*counter{}}
	for range what.ends {
		w.sums = append(w.sums, map[flow.Key]*flow.Flow{})
	}
	return w
}

// step says when the step ends that the next samples are of. None is of two spans.
func (w *walk) step(end time.Time) {
	i := sort.Search(len(w.ends)-1, func(i int) bool { return !w.ends[i].Before(end) })
	w.sum = w.sums[i]
}

// counter is one series, as far as it was walked along.
type counter struct {
	key   flow.Key
	what  what
	known bool // a sample was seen
	v     float64
	start float64 // of the process that counted
}

// sample is one sample of a counter.
type sample struct {
	at time.Time
	v  float64
	// start of the process, Unix seconds; 0 if that is not known.
	start float64
	// begun: the agent was scraped before, so that a counter that was not there
	// then began at 0 since.
	begun bool
}

// counter is that of a series.
func (w *walk) counter(m model.Metric) *counter {
	id := m.Fingerprint()
	c := w.by[id]
	if c == nil {
		c = &counter{}
		c.key, c.what = keyOf(m)
		w.by[id] = c
	}
	return c
}

// add takes the next sample. What is no count says that something is missing.
func (w *walk) add(c *counter, s sample) {
	if math.IsNaN(s.v) || s.v < 0 || s.v > flow.MaxCount { // up to there floating point counts one by one
		w.t.lostUnknown = true
		return
	}
	n := int64(gain(c, s, seconds(w.since)))
	c.known, c.v, c.start = true, s.v, s.start
	switch {
	case n <= 0 || c.what == unchecked:
		return
	case c.what == unknown:
		w.t.lost += n
		return
	}
	f := w.sum[c.key]
	if f == nil {
		f = &flow.Flow{Key: c.key, FirstSeen: s.at, LastSeen: s.at}
		w.sum[c.key] = f
	}
	if s.at.Before(f.FirstSeen) {
		f.FirstSeen = s.at
	}
	if s.at.After(f.LastSeen) {
		f.LastSeen = s.at
	}
	f.Connections += n
}

// gain is what a counter gained from its last sample to the next. One that was
// there when the agent was first scraped has counted for nobody knows how long,
// unless the agent itself is younger than the span.
func gain(c *counter, s sample, since float64) float64 {
	switch {
	case !c.known && (s.begun || s.start >= since && s.start != 0):
		return math.Floor(s.v)
	case !c.known:
		return 0
	case s.v < c.v, anew(c.start, s.start):
		return math.Floor(s.v)
	}
	return math.Floor(s.v) - math.Floor(c.v)
}

// last is the run that a moment is in, or the last before; nil if there was none.
func (t *target) last(at time.Time) *run {
	i := sort.Search(len(t.runs), func(i int) bool { return t.runs[i].first.After(at) })
	if i == 0 {
		return nil
	}
	return &t.runs[i-1]
}
