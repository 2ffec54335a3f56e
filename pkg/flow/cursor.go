package flow

// cursor is one follower's place: what it was told of each flow so far.
type cursor struct {
	change uint64
	told   map[*series]told
}

type told struct {
	totals
	live, last int64
}

// follow starts to follow at this moment. What was counted before is returned
// if the filter has a Since, and is not told otherwise.
func (a *Aggregator) follow(f Filter) (*cursor, []record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c := &cursor{change: a.change, told: make(map[*series]told, len(a.byKey))}
	for _, s := range a.byKey {
		c.told[s] = told{totals: s.sum, live: s.live, last: s.last}
	}
	var before []record
	if !f.Since.IsZero() {
		before = a.collect(f)
		sortRecords(before)
	}
	return c, before
}

// next returns what the flows that pass the filter gained since the last call,
// sorted by key: counts are those gained, FirstSeen and LastSeen the time since
// the last call (as far as there were attempts), Live what is open now. wait is
// closed when there is more; it is nil if there is more already.
func (a *Aggregator) next(c *cursor, f Filter) (out []record, wait <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.change == c.change {
		if a.wake == nil {
			a.wake = make(chan struct{})
		}
		return nil, a.wake
	}
	for _, s := range a.byKey {
		if s.changed <= c.change || !f.Match(s.key) {
			continue
		}
		before, known := c.told[s]
		c.told[s] = told{totals: s.sum, live: s.live, last: s.last}
		if known && before.totals == s.sum && before.live == s.live {
			continue
		}
		out = append(out, record{ID: s.id, Flow: s.gained(before)})
	}
	c.change = a.change
	if len(c.told) > 2*len(a.byKey) { // forget what was evicted
		for s := range c.told {
			if a.byKey[s.key] != s {
				delete(c.told, s)
			}
		}
	}
	sortRecords(out)
	return out, nil
}

// gained is what s gained since it was told.
func (s *series) gained(before told) Flow {
	first := s.last
	for i := range s.fine {
		b := &s.fine[i]
		if b.first > before.last {
			first = min(first, b.first)
			break
		}
	}
	return s.record(s.sum.minus(before.totals), first, s.last)
}
