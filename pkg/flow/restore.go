package flow

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Restorer makes an Aggregator of what was kept of one. What is open is not kept:
// who counts finds that anew.
type Restorer struct {
	a      *Aggregator
	byID   map[int64]*series
	staged []StagedSpec
}

// NewRestorer begins; now is the present.
func NewRestorer(now time.Time, limits Limits) *Restorer {
	return &Restorer{a: NewAggregator(now, limits), byID: map[int64]*series{}}
}

// Record reads one of Changes.Records.
func (r *Restorer) Record(name string, value []byte) error {
	var err error
	switch node, isWindow := strings.CutPrefix(name, recordWindow); {
	case isWindow:
		w := &window{}
		if err = json.Unmarshal(value, w); err == nil {
			r.a.windows[node] = w
		}
	case name == recordStaged:
		if err = json.Unmarshal(value, &r.staged); err == nil {
			for _, s := range r.staged {
				r.a.staged[s.Key] = s
			}
		}
	case name == recordState:
		err = r.state(value)
	}
	if err != nil {
		return fmt.Errorf("record %q: %w", name, err)
	}
	return nil
}

func (r *Restorer) state(value []byte) error {
	var s stateRecord
	if err := json.Unmarshal(value, &s); err != nil {
		return err
	}
	r.a.start = time.Unix(0, s.Start)
	r.a.nextID = max(r.a.nextID, s.NextID)
	for _, m := range s.Missing {
		r.a.missing = append(r.a.missing, missing{
			hour: m.Hour,
			lack: lack{lost: m.Lost, unknown: m.Unknown, evicted: m.Evicted},
			told: lack{lost: m.ToldLost, unknown: m.ToldUnknown, evicted: m.ToldEvicted},
		})
	}
	return nil
}

// Head reads what is known of a flow. All of them come before cells.
func (r *Restorer) Head(h Head) {
	s := &series{id: h.ID, key: h.Key, whole: h.Whole}
	for _, end := range []struct {
		set    *labelSet
		labels map[string]string
	}{{&s.source, h.SourceLabels}, {&s.destination, h.DestinationLabels}} {
		if end.labels != nil {
			end.set.seen, end.set.common = &policy.Endpoint{}, end.labels
		}
	}
	r.a.nextID = max(r.a.nextID, h.ID)
	r.byID[h.ID] = s
	r.a.byKey[h.Key] = s
}

// Cell reads a bucket. Those of one plane and flow come in the order of their
// start; one of a flow that is not known is passed over.
func (r *Restorer) Cell(p Plane, id int64, span *Span) {
	s := r.byID[id]
	if s == nil {
		return
	}
	b := span.bucket()
	switch p {
	case PlaneFine, PlaneCoarse:
		into := &s.fine
		if p == PlaneCoarse {
			into = &s.coarse
		}
		*into = append(*into, b)
		s.sum.add(b.totals)
		s.restoreSeen(&b)
	default:
		if s.untold == nil {
			s.untold = &buckets{}
		}
		if p == PlaneUntoldFine {
			s.untold.fine = append(s.untold.fine, b)
		} else {
			s.untold.coarse = append(s.untold.coarse, b)
		}
	}
}

func (s *series) restoreSeen(b *bucket) {
	first, last := b.first, b.last
	if first == 0 {
		first, last = b.start, b.start
	}
	if s.first == 0 || first < s.first {
		s.first = first
	}
	s.last = max(s.last, last)
}

// Aggregator is what was kept, from the moment now on, and the journal of what
// changes of it: buckets are rolled up and dropped at once that have become old
// meanwhile.
func (r *Restorer) Aggregator(now time.Time) (*Aggregator, *Journal) {
	a := r.a
	a.mu.Lock()
	defer a.mu.Unlock()
	a.journal = &Journal{a: a, stagedChange: a.stagedChange}
	for _, s := range a.byKey {
		s.kept = true
	}
	for _, w := range a.windows {
		w.keptEnd = w.To
	}
	for len(a.byKey) > a.limits.Keys { // it may keep fewer than before
		a.evict()
	}
	a.newest = now.UnixNano()
	a.sweep(a.newest)
	return a, a.journal
}

// KeptUntil is when the node was counted on last, by its window; zero if there
// is none.
func (a *Aggregator) KeptUntil(node string) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.windows[node]; w != nil && w.To != 0 {
		return time.Unix(0, w.To)
	}
	return time.Time{}
}
