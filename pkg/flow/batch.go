package flow

import "time"

// Batch gathers what happened to connections at one moment, so that an
// Aggregator need be told of each flow only once. The zero value is ready; it is
// not for use by several goroutines at once, and a handle is in one Batch only
// at any time.
type Batch struct {
	handles []*Handle
}

// gathered is what a batch has of one flow.
type gathered struct {
	totals
	attempts bool
	ends     []Ends
	// live is by how many more connections are open, least what it came to at
	// the lowest: an end that is told of a flow that was evicted since its start
	// takes nothing from those that start later.
	live, least int64
}

// Started is Aggregator.Started.
func (b *Batch) Started(h *Handle, ends Ends) {
	b.Existing(h, ends)
	h.gathered.started++
}

// Existing is Aggregator.Existing.
func (b *Batch) Existing(h *Handle, ends Ends) {
	g := b.of(h)
	g.attempts = true
	g.live++
	if n := len(g.ends); n == 0 || g.ends[n-1] != ends {
		g.ends = append(g.ends, ends)
	}
}

// Ended is Aggregator.Ended.
func (b *Batch) Ended(h *Handle, c Counters) {
	g := b.of(h)
	g.live--
	g.least = min(g.least, g.live)
	g.add(c.totals())
	g.completed++
}

func (b *Batch) of(h *Handle) *gathered {
	if !h.inBatch {
		h.inBatch = true
		b.handles = append(b.handles, h)
	}
	return &h.gathered
}

// Add counts what a batch has gathered, which happened at t, and empties it.
func (a *Aggregator) Add(b *Batch, t time.Time) {
	for _, h := range b.handles {
		a.observe(h, Ends{}, t, func(s *series, bucket *bucket, now int64) { s.gathered(bucket, &h.gathered, now) })
		h.gathered, h.inBatch = gathered{ends: h.gathered.ends[:0]}, false
	}
	clear(b.handles)
	b.handles = b.handles[:0]
}

// gathered counts a batch's part of the series.
func (s *series) gathered(b *bucket, g *gathered, now int64) {
	for _, ends := range g.ends {
		s.source.add(ends.Source)
		s.destination.add(ends.Destination)
	}
	switch {
	case g.attempts:
		s.attempt(b, now)
	case s.first == 0: // evicted meanwhile
		s.first, s.last = now, now
	}
	s.live = max(s.live+g.live, g.live-g.least)
	count(s, b, g.totals)
}
