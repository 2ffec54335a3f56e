package flow

import (
	"cmp"
	"slices"
	"sort"
	"time"
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

// buckets are counts by time.
type buckets struct {
	fine   []bucket // sorted by start
	coarse []bucket // sorted by start
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
	start := hourOf(b.start)
	i := sort.Search(len(s.coarse), func(i int) bool { return s.coarse[i].start >= start })
	if i == len(s.coarse) || s.coarse[i].start != start {
		s.coarse = append(s.coarse, bucket{})
		copy(s.coarse[i+1:], s.coarse[i:])
		s.coarse[i] = bucket{start: start}
	}
	s.coarse[i].merge(b)
}

// find is the bucket of a sorted list that begins at start, nil if none does.
func find(list []bucket, start int64) *bucket {
	i, ok := slices.BinarySearchFunc(list, start, func(b bucket, t int64) int { return cmp.Compare(b.start, t) })
	if !ok {
		return nil
	}
	return &list[i]
}

// hourOf is when the hour of a moment begins.
func hourOf(t int64) int64 { return t - t%int64(coarse) }
