package flow

import (
	"sort"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// fine and coarse are the widths of buckets: fine ones for the last hour, and
// coarse ones, rolled up from them, for as long as Limits.Keep says.
const (
	fine   = 15 * time.Second
	coarse = time.Hour
)

// totals are counts, all of them sums, so that buckets add up.
type totals struct {
	started, completed, packetsIn, packetsOut, bytesIn, bytesOut int64
}

func (t *totals) add(o totals) {
	t.started += o.started
	t.completed += o.completed
	t.packetsIn += o.packetsIn
	t.packetsOut += o.packetsOut
	t.bytesIn += o.bytesIn
	t.bytesOut += o.bytesOut
}

func (t totals) minus(o totals) totals {
	return totals{
		started: t.started - o.started, completed: t.completed - o.completed,
		packetsIn: t.packetsIn - o.packetsIn, packetsOut: t.packetsOut - o.packetsOut,
		bytesIn: t.bytesIn - o.bytesIn, bytesOut: t.bytesOut - o.bytesOut,
	}
}

// bucket counts one span of time. first and last are the attempts in it, Unix
// nanoseconds; 0 if there was none (connections that only ended in it).
type bucket struct {
	start       int64 // Unix nanoseconds
	first, last int64
	totals
}

// merge adds o's counts and attempts to b.
func (b *bucket) merge(o bucket) {
	b.add(o.totals)
	if o.first != 0 && (b.first == 0 || o.first < b.first) {
		b.first = o.first
	}
	b.last = max(b.last, o.last)
}

// within says whether the bucket tells of [since, until); 0 is unbounded. A
// bucket without attempts counts by its whole width.
func (b *bucket) within(since, until int64, width time.Duration) bool {
	first, last := b.first, b.last
	if first == 0 {
		first, last = b.start, b.start+int64(width)-1
	}
	return (since == 0 || last >= since) && (until == 0 || first < until)
}

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
	gone        bool // dropped; a handle may still point here

	// What the outbox has to tell: all of it if whole, else untold.
	due, whole bool
	untold     *buckets
	toldLive   int64
}

// buckets are counts by time.
type buckets struct {
	fine   []bucket // sorted by start
	coarse []bucket // sorted by start
}

// labelSet are the labels shared by all endpoints that took part.
type labelSet struct {
	seen   *policy.Endpoint // the last one, so that the same pod costs nothing
	common map[string]string
}

func (l *labelSet) add(ep *policy.Endpoint) {
	if ep == nil || ep == l.seen {
		return
	}
	first := l.seen == nil
	l.seen = ep
	if first {
		l.common = ep.Labels
		return
	}
	l.narrow(ep.Labels)
}

// share adds endpoints that share these labels. No labels at all may as well
// mean that nobody has looked.
func (l *labelSet) share(labels map[string]string) {
	if len(labels) == 0 {
		return
	}
	if l.seen == nil {
		l.seen, l.common = &policy.Endpoint{}, labels
		return
	}
	l.narrow(labels)
}

// narrow leaves those labels that are among others too.
func (l *labelSet) narrow(others map[string]string) {
	for k, v := range l.common {
		if got, ok := others[k]; !ok || got != v {
			l.common = intersect(l.common, others)
			return
		}
	}
}

func intersect(a, b map[string]string) map[string]string {
	out := make(map[string]string, len(a))
	for k, v := range a {
		if got, ok := b[k]; ok && got == v {
			out[k] = v
		}
	}
	return out
}

// at is the fine bucket for time t; it makes one where there is none.
func (s *buckets) at(t int64) *bucket {
	start := t - t%int64(fine)
	n := len(s.fine)
	if n > 0 && s.fine[n-1].start == start {
		return &s.fine[n-1]
	}
	i := sort.Search(n, func(i int) bool { return s.fine[i].start >= start })
	if i < n && s.fine[i].start == start {
		return &s.fine[i]
	}
	s.fine = append(s.fine, bucket{})
	copy(s.fine[i+1:], s.fine[i:])
	s.fine[i] = bucket{start: start}
	return &s.fine[i]
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

// roll moves fine buckets that start before the moment fineFrom to the coarse
// ones, and drops coarse ones that end before coarseFrom.
func (s *buckets) roll(fineFrom, coarseFrom int64) {
	n := 0
	for n < len(s.fine) && s.fine[n].start < fineFrom {
		s.intoCoarse(s.fine[n])
		n++
	}
	s.fine = append(s.fine[:0], s.fine[n:]...)
	n = 0
	for n < len(s.coarse) && s.coarse[n].start+int64(coarse) <= coarseFrom {
		n++
	}
	s.coarse = append(s.coarse[:0], s.coarse[n:]...)
}

func (s *buckets) intoCoarse(b bucket) {
	start := b.start - b.start%int64(coarse)
	i := sort.Search(len(s.coarse), func(i int) bool { return s.coarse[i].start >= start })
	if i == len(s.coarse) || s.coarse[i].start != start {
		s.coarse = append(s.coarse, bucket{})
		copy(s.coarse[i+1:], s.coarse[i:])
		s.coarse[i] = bucket{start: start}
	}
	s.coarse[i].merge(b)
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
	return s.record(sum.totals, sum.first, sum.last), true
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
