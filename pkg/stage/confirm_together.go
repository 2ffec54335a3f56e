package stage

import (
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// together is the trials that one command began: they say the same end, to the
// nanosecond, and last as long. They end in one moment, whenever each of them was
// seen first: what lies between their beginnings was judged before it was written,
// one policy after the other and perhaps over a bridge, and what lies between
// their ends would be other policies than those.
type together struct {
	by     time.Time
	within time.Duration
}

func (id TrialID) together() together { return together{id.By, id.Within} }

// SameCommand says whether two trials were begun by one command, so that they end
// together.
func (id TrialID) SameCommand(other TrialID) bool { return id.together() == other.together() }

// ends is when trials are over, and since when they may be written back.
type ends struct{ over, due time.Duration }

// ends are the ends of all that is known: of several together that of the one
// that was seen first, whether it is there still or not. Who is told of another
// later can only make that one shorter.
func (t *Trials) ends() map[together]ends {
	out := map[together]ends{}
	for id, s := range t.seen {
		e := ends{s.First + s.Lasts, s.First + id.Within}
		if known, ok := out[id.together()]; ok {
			e = ends{min(e.over, known.over), min(e.due, known.due)}
		}
		out[id.together()] = e
	}
	return out
}

// clocksApart is how far the times of day of two machines may lie apart.
const clocksApart = 5 * time.Second

// follow ends trials of which somebody else has written one back: an agent that
// learnt late of the trial is told of the others one after the other. That the
// time of day agrees keeps it from doing so where somebody takes one of the
// policies away for reasons of his own. It says whether it did.
func (t *Trials) follow(snap *policy.Snapshot, on map[TrialID]*policy.Policy, now Moment) (changed bool) {
	for id, was := range t.on {
		if on[id] != nil || now.Wall.Before(id.By.Add(-clocksApart)) || !wentBack(snap, was) {
			continue
		}
		for other, s := range t.seen {
			if other.together() == id.together() && s.First+s.Lasts > now.Since {
				s.Lasts = max(now.Since-s.First, 0)
				t.seen[other], changed = s, true
			}
		}
	}
	return changed
}

// wentBack says whether a policy is what it was before its trial.
func wentBack(snap *policy.Snapshot, was *policy.Policy) bool {
	now := snap.Policy(was.Key)
	if now == nil || was.Trial.Previous == nil {
		return now == nil && was.Trial.Previous == nil
	}
	return now.Trial == nil && same(policy.ToObject(now).Object["spec"], policy.ToObject(was.Trial.Previous).Object["spec"])
}
