package flow

import "time"

// series is everything known of one Key.
type series struct {
	id          int64
	key         Key
	live        int64
	first, last int64 // attempts, Unix nanoseconds
	changed     uint64
	sum         totals
	buckets
	source      labelSet
	destination labelSet
	refused     refusals // in memory alone: a restart forgets them
	gone        bool     // dropped; a handle may still point here
	journaled

	// What the outbox has to tell: all of it if whole, else untold.
	due, whole bool
	untold     *buckets
	toldLive   int64
}

// attempt notes a connection attempt at t in the bucket and the series.
func (s *series) attempt(b *bucket, t int64) {
	if b.first == 0 || t < b.first {
		b.first = t
	}
	b.last = max(b.last, t)
	if s.first == 0 || t < s.first {
		s.first = t
	}
	s.last = max(s.last, t)
}

// flow sums the buckets of [since, until) up; ok is false if there are none
// and no connection is open.
func (s *series) flow(since, until int64) (f Flow, ok bool) {
	var sum bucket
	for i := range s.coarse {
		if s.coarse[i].within(since, until, coarse) {
			sum.merge(s.coarse[i])
			ok = true
		}
	}
	for i := range s.fine {
		if s.fine[i].within(since, until, fine) {
			sum.merge(s.fine[i])
			ok = true
		}
	}
	live := s.live > 0 && (until == 0 || s.first < until)
	if !ok && !live {
		return Flow{}, false
	}
	if sum.first == 0 {
		sum.first, sum.last = s.last, s.last
	}
	f = s.record(sum.totals, sum.first, sum.last)
	f.Refused = s.refused.within(since, until)
	return f, true
}

func (s *series) record(t totals, first, last int64) Flow {
	return Flow{
		Key:       s.key,
		FirstSeen: time.Unix(0, first).UTC(), LastSeen: time.Unix(0, last).UTC(),
		Connections: t.started, Completed: t.completed, Live: s.live,
		PacketsIn: t.packetsIn, PacketsOut: t.packetsOut, BytesIn: t.bytesIn, BytesOut: t.bytesOut,
		SourceLabels: s.source.common, DestinationLabels: s.destination.common,
	}
}
