package flow

import (
	"sync"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Ends are the pods at the two ends of a connection, for their labels; nil
// where an end is not a pod.
type Ends struct{ Source, Destination *policy.Endpoint }

// Counters are what conntrack or nflog counted, from the reporter's view.
type Counters struct{ PacketsIn, PacketsOut, BytesIn, BytesOut int64 }

// Aggregator counts connections by Key and time: in buckets of 15 s for an
// hour, then of an hour for as long as its limits say. Counts are exact; what
// had to be dropped to stay within the limits is counted too. It is safe for
// use by several goroutines. It keeps everything in memory: a Journal tells what
// changes of it, so that it can be kept elsewhere, and a Restorer makes it anew.
//
// It reads no clock. Observations may come out of order; the newest moment that
// it has been told decides what is old.
type Aggregator struct {
	mu      sync.Mutex
	limits  Limits
	start   time.Time
	byKey   map[Key]*series
	nextID  int64
	change  uint64             // grows with every observation
	wake    chan struct{}      // closed at the next observation; nil if nobody waits
	newest  int64              // newest moment seen, Unix nanoseconds
	swept   int64              // when buckets were last rolled up
	missing []missing          // by hour
	outbox  *Outbox            // nil if nobody wants to be told
	journal *Journal           // nil if nobody keeps it
	windows map[string]*window // by node
	ticked  *tick              // nil: not yet

	staged       map[policy.Key]StagedSpec
	stagedChange uint64
	sawStaged    bool // what is not in staged is not staged
}

// NewAggregator starts to collect at the moment start.
func NewAggregator(start time.Time, limits Limits) *Aggregator {
	limits.Keys = max(limits.Keys, 1)
	return &Aggregator{
		limits: limits, start: start, byKey: map[Key]*series{}, swept: start.UnixNano(),
		windows: map[string]*window{}, staged: map[policy.Key]StagedSpec{},
	}
}

// Started counts a connection that was allowed and began at t.
func (a *Aggregator) Started(k Key, ends Ends, t time.Time) {
	a.observe(&Handle{key: k}, ends, t, func(s *series, b *bucket, now int64) {
		s.attempt(b, now)
		s.live++
		count(s, b, totals{started: 1})
	})
}

// Existing notes a connection that was open before collecting began: it is
// live, but was not started in the time that is covered.
func (a *Aggregator) Existing(k Key, ends Ends, t time.Time) {
	a.observe(&Handle{key: k}, ends, t, func(s *series, b *bucket, now int64) {
		s.attempt(b, now)
		s.live++
	})
}

// Ended counts the end of a connection that was started, and its counters.
func (a *Aggregator) Ended(k Key, c Counters, t time.Time) {
	a.observe(&Handle{key: k}, Ends{}, t, func(s *series, b *bucket, now int64) {
		if s.first == 0 { // evicted meanwhile
			s.first, s.last = now, now
		}
		s.live = max(s.live-1, 0)
		counted := c.totals()
		counted.completed = 1
		count(s, b, counted)
	})
}

// Denied counts a new attempt that was refused, with the packets seen so far.
func (a *Aggregator) Denied(k Key, ends Ends, c Counters, t time.Time) {
	a.observe(&Handle{key: k}, ends, t, func(s *series, b *bucket, now int64) {
		s.attempt(b, now)
		counted := c.totals()
		counted.started = 1
		count(s, b, counted)
		if ends.Source != nil {
			s.refused = s.refused.add(ends.Source.Name, now)
		}
	})
}

// Again counts more packets of an attempt or connection that was counted
// before, such as the retransmissions of a refused one.
func (a *Aggregator) Again(k Key, c Counters, t time.Time) {
	a.observe(&Handle{key: k}, Ends{}, t, func(s *series, b *bucket, now int64) {
		s.attempt(b, now)
		count(s, b, c.totals())
	})
}

// Rejudged moves an open connection from one key to another because a change
// of policy changed one of its verdicts (S29). It is not started a second time:
// the sum over all verdicts of a flow stays exact.
func (a *Aggregator) Rejudged(before, after Key, ends Ends, t time.Time) {
	if before == after {
		return
	}
	a.observe(&Handle{key: before}, Ends{}, t, func(s *series, _ *bucket, now int64) {
		if s.first == 0 {
			s.first, s.last = now, now
		}
		s.live = max(s.live-1, 0)
	})
	a.Existing(after, ends, t)
}

// observe applies change to the handle's series and the bucket of t.
func (a *Aggregator) observe(h *Handle, ends Ends, t time.Time, change func(*series, *bucket, int64)) {
	now := t.UnixNano()
	a.mu.Lock()
	defer a.mu.Unlock()
	// First, so that what is too old is gone before anything is added to it: the
	// sum is the same whether the sweep was just now or is now.
	a.passed(now)
	s := a.find(h)
	s.source.add(ends.Source)
	s.destination.add(ends.Destination)
	b := s.at(now)
	before := b.totals
	change(s, b, now)
	a.journal.note(s, PlaneFine, b.start)
	if a.outbox != nil {
		a.outbox.note(s, b, before, now)
	}
	a.changed(s)
}

// changed tells followers of s.
func (a *Aggregator) changed(s *series) {
	a.change++
	s.changed = a.change
	if a.wake != nil {
		close(a.wake)
		a.wake = nil
	}
}

// passed notes that the moment now has come.
// What is much older than the newest moment says that the clock was set back:
// buckets would not be rolled up, and be more and more, until it has caught up.
func (a *Aggregator) passed(now int64) {
	switch {
	case now > a.newest:
		a.newest = now
		if now-a.swept > int64(time.Minute) {
			a.sweep(now)
		}
	case a.newest-now > int64(coarse):
		a.newest, a.swept = now, now
	}
}

// find is the series of a handle's key.
func (a *Aggregator) find(h *Handle) *series {
	if h.series != nil && !h.series.gone {
		return h.series
	}
	s := a.byKey[h.key]
	if s == nil {
		s = a.insert(h.key)
	}
	h.series = s
	return s
}

// drop forgets a series; handles find another one, or begin it.
func (a *Aggregator) drop(s *series) {
	a.journal.dropped(s)
	if a.outbox != nil {
		a.outbox.dropped(s)
	}
	s.gone, s.buckets = true, buckets{}
	delete(a.byKey, s.key)
}

func (a *Aggregator) insert(k Key) *series {
	if len(a.byKey) >= a.limits.Keys {
		a.evict()
	}
	a.nextID++
	s := &series{id: a.nextID, key: k}
	a.byKey[k] = s
	a.journal.head(s)
	return s
}

func count(s *series, b *bucket, t totals) {
	b.add(t)
	s.sum.add(t)
}

func (c Counters) totals() totals {
	return totals{packetsIn: c.PacketsIn, packetsOut: c.PacketsOut, bytesIn: c.BytesIn, bytesOut: c.BytesOut}
}

// nanos is t in Unix nanoseconds, 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
