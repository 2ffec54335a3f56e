package flow

import (
	"sync"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Limits bound what an Aggregator keeps.
type Limits struct {
	// Keys is how many different flows are kept, at least 1.
	Keys int
	// Keep is how long roll-ups are kept.
	Keep time.Duration
}

// DefaultLimits keep 20 000 flows for 15 days. A flow that is seen once costs
// about 1 KiB, one that is never silent for 15 days about 45 KiB.
func DefaultLimits() Limits { return Limits{Keys: 20000, Keep: 15 * 24 * time.Hour} }

// Ends are the pods at the two ends of a connection, for their labels; nil
// where an end is not a pod.
type Ends struct{ Source, Destination *policy.Endpoint }

// Handle stands for a key to one Aggregator, which by it finds what it knows of
// the key without looking the key up: that costs more than counting.
type Handle struct {
	key      Key
	series   *series // nil: not looked up yet; only its Aggregator uses it
	gathered gathered
	inBatch  bool
}

// NewHandle makes a handle for use with one Aggregator only. It keeps nothing from being evicted: a flow that was
// evicted begins anew by its handle as by its key.
func NewHandle(k Key) *Handle { return &Handle{key: k} }

// Key is the key that the handle stands for, not to be changed.
func (h *Handle) Key() *Key { return &h.key }

// Counters are what conntrack or nflog counted, from the reporter's view.
type Counters struct{ PacketsIn, PacketsOut, BytesIn, BytesOut int64 }

// Aggregator counts connections by Key and time: in buckets of 15 s for an
// hour, then of an hour for as long as its limits say. Counts are exact; what
// had to be dropped to stay within the limits is counted too. It is safe for
// use by several goroutines. It keeps everything in memory only: what it knows
// ends with the process.
//
// It reads no clock. Observations may come out of order; the newest moment that
// it has been told decides what is old.
type Aggregator struct {
	mu      sync.Mutex
	limits  Limits
	start   time.Time
	byKey   map[Key]*series
	nextID  int64
	change  uint64        // grows with every observation
	wake    chan struct{} // closed at the next observation; nil if nobody waits
	newest  int64         // newest moment seen, Unix nanoseconds
	swept   int64         // when buckets were last rolled up
	missing []missing     // by hour
	outbox  *Outbox       // nil if nobody wants to be told
}

// missing is what is known to be missing of one hour.
type missing struct {
	hour int64
	lack
	told lack // by the outbox
}

// lack says how much is missing.
type lack struct {
	lost    int64
	unknown bool
	evicted int64
}

// NewAggregator starts to collect at the moment start.
func NewAggregator(start time.Time, limits Limits) *Aggregator {
	limits.Keys = max(limits.Keys, 1)
	return &Aggregator{limits: limits, start: start, byKey: map[Key]*series{}, swept: start.UnixNano()}
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

// Lost notes n connections that are known to be missing around t; more says
// that others are missing too, and nobody knows how many.
func (a *Aggregator) Lost(n int64, more bool, t time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	m := a.missingAt(t.UnixNano())
	m.lost += n
	m.unknown = m.unknown || more
}

// observe applies change to the handle's series and the bucket of t.
func (a *Aggregator) observe(h *Handle, ends Ends, t time.Time, change func(*series, *bucket, int64)) {
	now := t.UnixNano()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.find(h)
	s.source.add(ends.Source)
	s.destination.add(ends.Destination)
	b := s.at(now)
	before := b.totals
	change(s, b, now)
	if a.outbox != nil {
		a.outbox.note(s, b, before, now)
	}
	a.changed(s)
	a.passed(now)
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
func (a *Aggregator) passed(now int64) {
	if now > a.newest {
		a.newest = now
		if now-a.swept > int64(time.Minute) {
			a.sweep(now)
		}
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
