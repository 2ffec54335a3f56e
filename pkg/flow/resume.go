package flow

import (
	"slices"
	"time"
)

// Resume hands out what was not handed out yet when the Aggregator was kept,
// rather than everything. What was open at that time counts as told not to be.
func (a *Aggregator) Resume() *Outbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	o := &Outbox{a: a, restored: map[*series]buckets{}}
	a.outbox = o
	for _, s := range a.byKey {
		if s.untold != nil {
			o.restored[s] = buckets{fine: slices.Clone(s.untold.fine), coarse: slices.Clone(s.untold.coarse)}
		}
		if s.whole || s.untold != nil || s.live != 0 {
			o.owe(s)
		}
	}
	sortByID(o.due)
	return o
}

// Skip takes back what was not handed out when the Aggregator was kept, before
// anything else is: it was told by somebody who could not say so.
func (o *Outbox) Skip() {
	a := o.a
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range o.due {
		before, ok := o.restored[s]
		if !ok && !s.whole {
			continue // it is all new
		}
		a.journal.took(s)
		if s.whole || s.untold == nil {
			s.whole, s.untold = false, nil
			continue
		}
		before.roll(a.swept-int64(coarse), a.swept-int64(a.limits.Keep))
		s.untold.fine = without(s.untold.fine, before.fine)
		s.untold.coarse = without(s.untold.coarse, before.coarse)
	}
	o.restored = nil
}

// Doubt tells, also if that was told before, that connections are missing in all
// hours from one moment to another, and nobody knows how many. A moment from that
// is zero, or later, is to.
func (o *Outbox) Doubt(from, to time.Time) {
	o.a.mu.Lock()
	defer o.a.mu.Unlock()
	if from.IsZero() {
		from = to
	}
	o.a.doubt(from.UnixNano(), to.UnixNano())
}

// without are the buckets less what others have of them, which are of the same
// planes and sorted as they are.
func without(list, others []bucket) []bucket {
	out := list[:0]
	for i := range list {
		b := list[i]
		if o := find(others, b.start); o != nil {
			b.totals = b.minus(o.totals)
		}
		if b.totals != (totals{}) {
			out = append(out, b)
		}
	}
	return out
}

// LiveAgain hands out once more what is open, and nothing else.
func (o *Outbox) LiveAgain() {
	o.a.mu.Lock()
	defer o.a.mu.Unlock()
	for _, s := range o.due {
		s.toldLive = 0
	}
	for _, s := range o.a.byKey {
		s.toldLive = 0
		if s.live != 0 {
			o.owe(s)
		}
	}
}
