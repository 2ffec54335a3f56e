package stage

import (
	"maps"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Moment is a time by two clocks. Since counts from some fixed moment, the start
// of the machine, and nobody sets it; it decides. Wall is the time of day, which
// may jump and be wrong; it is asked only of trials whose beginning nobody here
// saw.
type Moment struct {
	Since time.Duration
	Wall  time.Time
}

// Sighting is when a trial was first seen, and how long after that it ends.
type Sighting struct {
	First time.Duration
	Lasts time.Duration
}

// Trials knows which trials are over. It is not safe for use by several
// goroutines.
//
//   - A trial that begins while it is watched lasts as long as it says, from the
//     moment it is first seen, whatever the time of day does.
//   - Those that one command began end together, when the first of them does.
//   - One that is there at the first look began before: it lasts until its end by
//     the time of day, and no longer than it says from now. So it is over for who
//     starts too late, and starting again does not make it longer. What was kept
//     from before (Restore) counts instead, where there is something.
type Trials struct {
	seen   map[TrialID]Sighting
	looked bool
	// on are the policies that were on trial at the last look.
	on map[TrialID]*policy.Policy
}

// forgotten is how long a trial is remembered after its end, so that a policy
// that goes and comes again is not tried once more; most bounds how many are.
const (
	forgotten = 24 * time.Hour
	most      = 4096
)

// Judged is what trials make of a snapshot at one moment.
type Judged struct {
	// Over are the policies whose trial is over, unconfirmed, by key.
	Over []*policy.Policy
	// Due are those of them that this one may write back: their whole time was
	// counted here. A clock that is wrong makes nobody else go back.
	Due []TrialID
	// Next is when another trial will be over or due; 0: none.
	Next time.Duration
}

// Restore takes over what another Trials of the same machine knew.
func (t *Trials) Restore(known map[TrialID]Sighting, now Moment) {
	t.seen = map[TrialID]Sighting{}
	for id, s := range known {
		if s.First >= 0 && s.First <= now.Since && s.Lasts >= 0 && s.Lasts <= id.Within {
			t.seen[id] = s
		}
	}
}

// Known is what to keep for Restore. It is not to be changed.
func (t *Trials) Known() map[TrialID]Sighting { return t.seen }

// Look notes the trials of a snapshot and says which are over. changed tells
// that Known is another than before.
func (t *Trials) Look(snap *policy.Snapshot, now Moment) (out Judged, changed bool) {
	if t.seen == nil {
		t.seen = map[TrialID]Sighting{}
	}
	next := func(at time.Duration) {
		if at > now.Since && (out.Next == 0 || at < out.Next) {
			out.Next = at
		}
	}
	on := map[TrialID]*policy.Policy{}
	for _, p := range snap.Policies {
		id, ok := TrialIDOf(p)
		if !ok {
			continue
		}
		on[id] = p
		if _, known := t.seen[id]; !known {
			t.seen[id], changed = t.first(id, now), true
		}
	}
	changed = t.follow(snap, on, now) || changed
	all := t.ends()
	for _, p := range snap.Policies {
		id, ok := TrialIDOf(p)
		if !ok {
			continue
		}
		end := all[id.together()]
		next(end.over)
		next(end.due)
		if now.Since >= end.over {
			out.Over = append(out.Over, p)
		}
		if now.Since >= end.due {
			out.Due = append(out.Due, id)
		}
	}
	t.on = on
	t.looked = true
	return out, t.forget(now) || changed
}

// first is the sighting of a trial that was not known.
func (t *Trials) first(id TrialID, now Moment) Sighting {
	s := Sighting{First: now.Since, Lasts: id.Within}
	if !t.looked {
		s.Lasts = min(max(id.By.Sub(now.Wall), 0), id.Within)
	}
	return s
}

// forget drops what is long over.
func (t *Trials) forget(now Moment) bool {
	before := len(t.seen)
	maps.DeleteFunc(t.seen, func(id TrialID, s Sighting) bool { return now.Since > s.First+id.Within+forgotten })
	if n := len(t.seen) - most; n > 0 {
		oldest := slices.SortedFunc(maps.Keys(t.seen), func(a, b TrialID) int {
			return int(min(max(t.seen[a].First-t.seen[b].First, -1), 1))
		})
		for _, id := range oldest[:n] {
			delete(t.seen, id)
		}
	}
	return len(t.seen) != before
}

// Effective is a snapshot in which policies whose trial is over are what they
// were before, or absent where they were not. Everything else is shared.
func Effective(snap *policy.Snapshot, over []*policy.Policy) *policy.Snapshot {
	if len(over) == 0 {
		return snap
	}
	out := make([]*policy.Policy, 0, len(snap.Policies))
	for _, p := range snap.Policies {
		if !slices.Contains(over, p) {
			out = append(out, p)
		} else if p.Trial.Previous != nil {
			out = append(out, p.Trial.Previous)
		}
	}
	return snap.WithPolicies(out)
}
