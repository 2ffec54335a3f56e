package flow

import "time"

// Reporter adds what was counted elsewhere to an Aggregator. It is one process
// that counts, and knows what of the flows is open there. Its methods are safe
// for use by several goroutines.
type Reporter struct {
	a    *Aggregator
	live map[*series]int64
	of   *window // nil: of no node
}

// Reporter is another process that counts.
func (a *Aggregator) Reporter() *Reporter {
	return &Reporter{a: a, live: map[*series]int64{}}
}

// ReporterOf is another process that counts, on a node.
func (a *Aggregator) ReporterOf(node string) *Reporter {
	r := a.Reporter()
	a.mu.Lock()
	defer a.mu.Unlock()
	r.of = a.windows[node]
	return r
}

// Covered notes since when the reporter's node is counted on, where the gaps
// were, and that it was heard of now.
func (a *Aggregator) Covered(node string, from time.Time, gaps []Gap, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := now.UnixNano()
	begin := min(from.UnixNano(), at)
	w := a.windows[node]
	if w == nil {
		w = &window{From: begin, To: begin, dirty: true}
		a.windows[node] = w
	}
	list := make([]span, 0, len(gaps))
	for _, g := range gaps {
		list = append(list, span{g.From.UnixNano(), min(g.To.UnixNano(), at)})
	}
	w.covered(begin, list)
	w.To = max(w.To, at)
}

// Heard notes that the node's agent counts at the moment now.
func (r *Reporter) Heard(now time.Time) {
	r.a.mu.Lock()
	defer r.a.mu.Unlock()
	if r.of != nil {
		r.of.To = max(r.of.To, now.UnixNano())
	}
}

// Forget drops what is known of a node's window.
func (a *Aggregator) Forget(node string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.windows, node)
	a.journal.forgotten(node)
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
			at := s.addSpan(&g.Spans[j], now.UnixNano(), oldest)
			a.journal.note(s, at.plane, at.start)
		}
		for _, r := range g.Refused {
			s.refused = s.refused.add(r.Pod, min(r.Last, now.UnixNano()))
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
		if r.of != nil {
			m.Hour = at.hour
			r.of.lacks(m)
		}
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

// addSpan counts a span, a fine one in the hour before now, else a coarse one,
// and says where.
func (s *series) addSpan(span *Span, now, oldest int64) (at cell) {
	b := span.bucket()
	// A clock that is ahead. What the buckets say of attempts is what the series
	// says: it is what is known of them after a restart.
	b.start, b.first, b.last = min(b.start, now), min(b.first, now), min(b.last, now)
	if b.start+int64(coarse) <= oldest {
		return cell{plane: noPlane}
	}
	if span.Coarse || b.start < now-int64(coarse) {
		s.intoCoarse(b)
		at = cell{PlaneCoarse, hourOf(b.start)}
	} else {
		into := s.at(b.start)
		into.merge(b)
		at = cell{PlaneFine, into.start}
	}
	s.sum.add(b.totals)
	return at
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
