package flow

import (
	"cmp"
	"slices"
)

// cell is where a bucket is.
type cell struct {
	plane Plane
	start int64
}

// journaled is what a Journal knows of a series.
type journaled struct {
	cells  []cell
	listed bool
	// headDue: its head is to be written; kept: some head of it was.
	headDue, kept bool
	labels        int // changes of the labels that were kept
}

// Journal tells what changes in an Aggregator, so that somebody can keep it.
// What changes several times between two calls of Take is told once, so that it
// needs no more room than the Aggregator.
type Journal struct {
	a                    *Aggregator
	list                 []*series
	fineFrom, coarseFrom int64
	state                string // as it was told last
	stagedChange         uint64
	gone                 []string // names of records
}

// Journal begins to note changes; all that there is has changed.
func (a *Aggregator) Journal() *Journal {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.journal = &Journal{a: a, stagedChange: a.stagedChange - 1}
	for _, s := range a.byKey {
		s.journaled = journaled{}
		a.journal.all(s)
	}
	for _, w := range a.windows {
		w.dirty = true
	}
	return a.journal
}

// all notes everything of a series.
func (j *Journal) all(s *series) {
	j.head(s)
	j.each(s, func(p Plane, start int64) { j.note(s, p, start) })
}

// each calls f for all buckets of a series.
func (j *Journal) each(s *series, f func(Plane, int64)) {
	for p := range Planes {
		for _, b := range s.plane(p) {
			f(p, b.start)
		}
	}
}

// note notes that a bucket has changed. Like all that begins small here it needs
// the Aggregator's lock, and a nil Journal notes nothing.
func (j *Journal) note(s *series, p Plane, start int64) {
	if j == nil || p == noPlane {
		return
	}
	j.enlist(s)
	c := cell{p, start}
	n := len(s.cells)
	for i := n - 1; i >= 0 && i >= n-3; i-- {
		if s.cells[i] == c {
			return
		}
	}
	if n >= 64 && n == cap(s.cells) { // rather once more through them than twice as many
		slices.SortFunc(s.cells, compareCells)
		s.cells = slices.Compact(s.cells)
	}
	s.cells = append(s.cells, c)
}

func compareCells(x, y cell) int {
	return cmp.Or(cmp.Compare(x.plane, y.plane), cmp.Compare(x.start, y.start))
}

func (j *Journal) enlist(s *series) {
	if s.listed {
		return
	}
	s.listed = true
	j.list = append(j.list, s)
	if len(j.list) > 2*j.a.limits.Keys && len(j.list) > 2*len(j.a.byKey) {
		// Those that came and went since nothing was taken were never kept.
		j.list = slices.DeleteFunc(j.list, func(s *series) bool { return s.gone && !s.kept })
	}
}

// head notes that what is known of a series but its counts has changed.
func (j *Journal) head(s *series) {
	if j != nil {
		j.enlist(s)
		s.headDue = true
	}
}

// dropped notes that a series is about to be dropped, with all that it has.
func (j *Journal) dropped(s *series) {
	if j == nil {
		return
	}
	if !s.kept {
		s.cells = nil
		return
	}
	j.all(s)
}

// took notes that what is untold of a series is about to be told.
func (j *Journal) took(s *series) {
	if j == nil {
		return
	}
	if s.whole {
		j.head(s)
	}
	for _, p := range []Plane{PlaneUntoldFine, PlaneUntoldCoarse} {
		for _, b := range s.plane(p) {
			j.note(s, p, b.start)
		}
	}
}

// rolls notes that fine buckets that start before fineFrom are about to become
// coarse ones.
func (j *Journal) rolls(s *series, fineFrom int64) {
	if j == nil {
		return
	}
	for _, p := range []Plane{PlaneFine, PlaneUntoldFine} {
		for _, b := range s.plane(p) {
			if b.start >= fineFrom {
				break
			}
			j.note(s, p+1, hourOf(b.start)) // the plane of the same in hours
		}
	}
}

// rolled notes that of all series older buckets are dropped.
func (j *Journal) rolled(fineFrom, oldest int64) {
	if j == nil {
		return
	}
	j.fineFrom = max(j.fineFrom, fineFrom)
	j.coarseFrom = max(j.coarseFrom, oldest-int64(coarse)+1)
}

func (j *Journal) forgotten(node string) {
	if j != nil {
		j.gone = append(j.gone, recordWindow+node)
	}
}
