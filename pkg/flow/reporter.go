package flow

import "time"

// Reporter adds what was counted elsewhere to an Aggregator. It is one process
// that counts, and knows what of the flows is open there. Its methods are safe
// for use by several goroutines.
type Reporter struct {
	a    *Aggregator
	live map[*series]int64
}

// Reporter is another process that counts.
func (a *Aggregator) Reporter() *Reporter {
	return &Reporter{a: a, live: map[*series]int64{}}
}

// Add counts what the reporter gained; now is the present. What is older than
// the Aggregator keeps is left out.
func (r *Reporter) Add(gains []Gain, missing []Missing, now time.Time) {
	a := r.a
	a.mu.Lock()
	defer a.mu.Unlock()
	oldest := now.UnixNano() - int64(a.limits.Keep)
	for i := range gains {
		g := &gains[i]
		s := a.byKey[g.Key]
		if s == nil {
			s = a.insert(g.Key)
		}
		s.source.share(g.SourceLabels)
		s.destination.share(g.DestinationLabels)
		r.open(s, g.Live)
		for j := range g.Spans {
			s.addSpan(&g.Spans[j], now.UnixNano(), oldest)
		}
		s.seen(g.First, g.Last, now.UnixNano())
		a.changed(s)
	}
	for _, m := range missing {
		if m.Hour < oldest-int64(coarse) {
			continue
		}
		at := a.missingAt(min(m.Hour, now.UnixNano()))
		at.lost += m.Lost
		at.unknown = at.unknown || m.Unknown
		at.evicted += m.Evicted
	}
	a.passed(now.UnixNano())
}

// open notes that so many more connections are open at the reporter, of which
// there can't be less than none.
func (r *Reporter) open(s *series, more int64) {
	before := r.live[s]
	after := max(before+more, 0)
	s.live = max(s.live+after-before, 0)
	if after == 0 {
		delete(r.live, s)
		return
	}
	r.live[s] = after
	if len(r.live) > 2*len(r.a.byKey) { // forget what was evicted
		for s := range r.live {
			if s.gone {
				delete(r.live, s)
			}
		}
	}
}

// End says that the reporter has ended: nothing is open there any more.
func (r *Reporter) End() {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	for s, n := range r.live {
		if !s.gone {
			s.live = max(s.live-n, 0)
			r.a.changed(s)
		}
	}
	clear(r.live)
}

// addSpan counts a span, a fine one in the hour before now, else a coarse one.
func (s *series) addSpan(span *Span, now, oldest int64) {
	b := span.bucket()
	if b.start > now { // a clock that is ahead
		b.start, b.first, b.last = now, min(b.first, now), min(b.last, now)
	}
	if b.start+int64(coarse) <= oldest {
		return
	}
	if span.Coarse || b.start < now-int64(coarse) {
		s.intoCoarse(b)
	} else {
		s.at(b.start).merge(b)
	}
	s.sum.add(b.totals)
}

// seen notes that there were attempts from first to last, which may be 0.
func (s *series) seen(first, last, now int64) {
	if first = min(first, now); first != 0 && (s.first == 0 || first < s.first) {
		s.first = first
	}
	if s.last = max(s.last, min(last, now)); s.first == 0 {
		s.first, s.last = now, now
	}
}

// Began says that counting began at t elsewhere; first, that nothing was counted
// before anywhere.
func (a *Aggregator) Began(t time.Time, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if first || t.Before(a.start) {
		a.start = t
	}
}
