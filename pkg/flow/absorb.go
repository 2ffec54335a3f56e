package flow

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Into adds what was kept to an Aggregator that has counted since, because what
// was kept could not be read at first; now is the present. The two have counted
// nothing in common. What had not been handed out when it was kept is not handed
// out any more, since nobody can say whether it was: those hours are in doubt, as
// are those between the two. Nothing of it is in a's journal: begin a new one.
func (r *Restorer) Into(a *Aggregator, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.journal = nil
	if r.a.start.Before(a.start) {
		a.start = r.a.start
	}
	for _, s := range slices.SortedFunc(maps.Values(r.byID), func(x, y *series) int { return cmp.Compare(x.id, y.id) }) {
		a.absorbUntold(s)
		a.absorb(s)
	}
	for _, m := range r.a.missing {
		a.absorbMissing(m)
	}
	for node, w := range r.a.windows {
		a.absorbWindow(node, w)
	}
	a.absorbStaged(r.staged)
	for len(a.byKey) > a.limits.Keys {
		a.evict()
	}
	a.newest = max(a.newest, now.UnixNano())
	a.sweep(a.newest)
}

// absorb adds a series of before.
func (a *Aggregator) absorb(old *series) {
	s := a.byKey[old.key]
	if s == nil {
		a.nextID++
		s = &series{id: a.nextID, key: old.key}
		a.byKey[s.key] = s
	}
	if s.whole { // what comes now is not to be told
		s.untold, s.whole = &buckets{fine: slices.Clone(s.fine), coarse: slices.Clone(s.coarse)}, false
	}
	for _, b := range old.coarse {
		s.intoCoarse(b)
	}
	for _, b := range old.fine {
		s.at(b.start).merge(b)
	}
	s.sum.add(old.sum)
	if s.first == 0 || old.first != 0 && old.first < s.first {
		s.first = old.first
	}
	s.last = max(s.last, old.last)
	s.source.join(&old.source)
	s.destination.join(&old.destination)
	a.changed(s)
}

// absorbUntold puts the hours in doubt of which a series had something to tell.
func (a *Aggregator) absorbUntold(old *series) {
	from := old.untold
	if old.whole {
		from = &old.buckets
	}
	if from == nil {
		return
	}
	for _, list := range [][]bucket{from.coarse, from.fine} {
		for i := range list {
			a.doubt(list[i].start, list[i].start)
		}
	}
}

func (a *Aggregator) absorbMissing(m missing) {
	at := a.missingAt(m.hour)
	at.lost, at.told.lost = at.lost+m.lost, at.told.lost+m.lost
	at.evicted, at.told.evicted = at.evicted+m.evicted, at.told.evicted+m.evicted
	at.unknown, at.told.unknown = at.unknown || m.unknown, at.told.unknown || m.told.unknown
	if m.lack != m.told {
		a.doubt(m.hour, m.hour)
	}
}

// absorbWindow has a node's window begin when it did before. Between the two
// nobody has counted.
func (a *Aggregator) absorbWindow(node string, old *window) {
	w := a.windows[node]
	if w == nil {
		old.own = false
		a.windows[node] = old
		return
	}
	a.doubt(old.To, w.From)
	for _, g := range append(old.Gaps, span{old.To, w.From}) {
		w.gap(g)
	}
	w.From, w.dirty = min(w.From, old.From), true
	for _, m := range old.Missing {
		w.lacks(Missing{Hour: m.Hour, Lost: m.Lost, Evicted: m.Evicted, Unknown: m.Unknown})
	}
}

// absorbStaged takes the earlier moment where the same is staged now. What is not
// staged now, if that is known, counts as taken back.
func (a *Aggregator) absorbStaged(list []StagedSpec) {
	for _, s := range list {
		was, known := a.staged[s.Key]
		if !known && !a.sawStaged || known && was.Spec == s.Spec && s.Since < was.Since {
			a.stage(s)
		}
	}
}
