package flow

import (
	"slices"
	"time"
)

// Gain is what one flow gained, by the buckets that it was counted in.
type Gain struct {
	Key Key
	// Live is how many more connections are open; it may be negative.
	Live int64
	// SourceLabels and DestinationLabels are the labels shared by all pods that
	// took part.
	SourceLabels, DestinationLabels map[string]string
	// First and Last are the attempts of all time, Unix nanoseconds.
	First, Last int64
	Spans       []Span
	// Refused are pods of the source that were refused, as Flow.Refused.
	Refused []Refusal
}

// Span is what was counted in one bucket of time.
type Span struct {
	// Start is the bucket's, Unix nanoseconds; Coarse says that it is of an
	// hour, not of 15 s.
	Start  int64
	Coarse bool
	// First and Last are attempts in the bucket, Unix nanoseconds; 0 if there
	// was none.
	First, Last        int64
	Started, Completed int64
	Counters
}

// Missing is what more is known to be missing of one hour.
type Missing struct {
	Hour    int64 // its start, Unix nanoseconds
	Lost    int64
	Unknown bool
	Evicted int64
}

// Outbox hands out what an Aggregator counts, each count once, so that it can
// be counted elsewhere too. What nobody takes costs no more than the flows that
// it is of, and is rolled up with them.
type Outbox struct {
	a    *Aggregator
	due  []*series // with something to tell, the oldest first
	gone int       // of these are dropped

	// restored are what was untold when the Aggregator was kept; nil once
	// something is handed out.
	restored map[*series]buckets
}

// Outbox begins to hand out all that the Aggregator has and will count. There
// is one; asked again, it begins anew.
func (a *Aggregator) Outbox() *Outbox {
	a.mu.Lock()
	if a.outbox == nil {
		a.outbox = &Outbox{a: a}
	}
	a.mu.Unlock()
	a.outbox.Restart()
	return a.outbox
}

// Restart forgets what was handed out: all there is will be once more.
func (o *Outbox) Restart() {
	o.a.mu.Lock()
	defer o.a.mu.Unlock()
	o.due, o.gone, o.restored = nil, 0, nil
	for _, s := range o.a.byKey {
		o.a.journal.took(s)
		o.a.journal.head(s)
		s.whole, s.due, s.untold, s.toldLive = true, true, nil, 0
		o.due = append(o.due, s)
	}
	sortByID(o.due)
	for i := range o.a.missing {
		o.a.missing[i].told = lack{}
	}
}

func sortByID(list []*series) {
	slices.SortFunc(list, func(x, y *series) int { return int(x.id - y.id) })
}

// note mirrors what an observation changed in the bucket of t. It is called
// with the Aggregator's lock.
func (o *Outbox) note(s *series, b *bucket, before totals, t int64) {
	o.owe(s)
	if s.whole {
		return
	}
	if s.untold == nil {
		s.untold = &buckets{}
	}
	u := s.untold.at(t)
	u.add(b.minus(before))
	u.first, u.last = b.first, b.last
	o.a.journal.note(s, PlaneUntoldFine, u.start)
}

func (o *Outbox) owe(s *series) {
	if !s.due {
		s.due = true
		o.due = append(o.due, s)
	}
}

// dropped keeps what is still to be told of a series that is about to be
// dropped. Of as many as there may be flows, and what was told to be open.
func (o *Outbox) dropped(s *series) {
	if s.whole {
		s.untold, s.whole = &buckets{fine: s.fine, coarse: s.coarse}, false
	}
	if o.gone >= o.a.limits.Keys {
		s.untold = nil
	}
	s.live = 0
	if s.toldLive != 0 {
		o.owe(s)
	}
	if s.due {
		o.gone++
	}
}

// maxSpans is how many spans are handed out at once, about.
const maxSpans = 4000

// Take hands out what at most so many flows gained, and what more is missing.
// Nothing is handed out twice. It returns nothing if there is nothing to tell.
func (o *Outbox) Take(flows int) ([]Gain, []Missing) {
	o.a.mu.Lock()
	defer o.a.mu.Unlock()
	o.restored = nil
	var gains []Gain
	n, spans := 0, 0
	for n < len(o.due) && len(gains) < flows && spans < maxSpans {
		g := o.a.take(o.due[n])
		if o.due[n].gone {
			o.gone--
		}
		n++
		if g.Live != 0 || len(g.Spans) > 0 {
			gains = append(gains, g)
			spans += len(g.Spans)
		}
	}
	o.due = slices.Delete(o.due, 0, n)
	return gains, o.a.takeMissing()
}

func (a *Aggregator) take(s *series) Gain {
	from := s.untold
	if s.whole {
		from = &s.buckets
	}
	g := Gain{
		Key: s.key, Live: s.live - s.toldLive, First: s.first, Last: s.last,
		SourceLabels: s.source.common, DestinationLabels: s.destination.common,
		Refused: slices.Clone(s.refused),
	}
	if from != nil {
		g.Spans = make([]Span, 0, len(from.coarse)+len(from.fine))
		for i := range from.coarse {
			g.Spans = append(g.Spans, from.coarse[i].span(true))
		}
		for i := range from.fine {
			g.Spans = append(g.Spans, from.fine[i].span(false))
		}
	}
	a.journal.took(s)
	s.due, s.whole, s.untold, s.toldLive = false, false, nil, s.live
	return g
}

func (a *Aggregator) takeMissing() []Missing {
	var out []Missing
	for i := range a.missing {
		m := &a.missing[i]
		if m.lack == m.told {
			continue
		}
		out = append(out, Missing{
			Hour: m.hour, Lost: m.lost - m.told.lost, Unknown: m.unknown && !m.told.unknown, Evicted: m.evicted - m.told.evicted,
		})
		m.told = m.lack
	}
	return out
}

func (b *bucket) span(coarse bool) Span {
	return Span{
		Start: b.start, Coarse: coarse, First: b.first, Last: b.last, Started: b.started, Completed: b.completed,
		Counters: Counters{PacketsIn: b.packetsIn, PacketsOut: b.packetsOut, BytesIn: b.bytesIn, BytesOut: b.bytesOut},
	}
}

// bucket is the bucket that a span is.
func (s *Span) bucket() bucket {
	b := bucket{start: s.Start, first: s.First, last: s.Last, totals: s.totals()}
	b.started, b.completed = s.Started, s.Completed
	return b
}

// Since is since when the Aggregator has counted.
func (a *Aggregator) Since() time.Time { return a.start }
