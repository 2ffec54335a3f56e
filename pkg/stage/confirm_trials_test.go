package stage

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
)

func tryPolicy(name string, revision uint64, by time.Time, within time.Duration, before *policy.Policy) *policy.Policy {
	return &policy.Policy{
		Key:   policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: name},
		Trial: &policy.Trial{Revision: revision, By: by, Within: within, Previous: before},
	}
}

func at(since time.Duration, wall time.Time) Moment { return Moment{Since: since, Wall: wall} }

// look is one look at a time after the machine's start.
type look struct {
	since time.Duration
	wall  time.Duration // after trialStart
	over  bool
	due   bool
}

func TestTrialsEnd(t *testing.T) {
	const within = time.Minute
	by := trialStart.Add(within)
	for name, tc := range map[string]struct {
		// empty: a first look before the trial began.
		empty    bool
		restored *Sighting
		looks    []look
	}{
		"by its own clock": {empty: true, looks: []look{
			{since: 100 * time.Second, wall: 0},
			{since: 159 * time.Second, wall: 59 * time.Second},
			{since: 160 * time.Second, wall: 60 * time.Second, over: true, due: true},
		}},
		"whatever the time of day does": {empty: true, looks: []look{
			{since: 100 * time.Second, wall: 0},
			{since: 130 * time.Second, wall: 99 * time.Hour},
			{since: 159 * time.Second, wall: -99 * time.Hour},
			{since: 160 * time.Second, wall: -99 * time.Hour, over: true, due: true},
		}},
		"seen late, the whole time from then": {empty: true, looks: []look{
			{since: 300 * time.Second, wall: 10 * time.Minute},
			{since: 359 * time.Second, wall: 11 * time.Minute},
			{since: 360 * time.Second, wall: 11 * time.Minute, over: true, due: true},
		}},
		"started in between: until its end": {looks: []look{
			{since: 100 * time.Second, wall: 40 * time.Second},
			{since: 119 * time.Second, wall: 59 * time.Second},
			{since: 120 * time.Second, wall: 60 * time.Second, over: true},
			{since: 159 * time.Second, wall: 99 * time.Second, over: true},
			{since: 160 * time.Second, wall: 100 * time.Second, over: true, due: true},
		}},
		"started in between, the time of day jumps after that": {looks: []look{
			{since: 100 * time.Second, wall: 40 * time.Second},
			{since: 119 * time.Second, wall: 99 * time.Hour},
			{since: 120 * time.Second, wall: -99 * time.Hour, over: true},
		}},
		// Nobody else goes back by it: it is due only when its time was counted here.
		"started after its end: over at once": {looks: []look{
			{since: 100 * time.Second, wall: 2 * time.Minute, over: true},
			{since: 159 * time.Second, wall: 3 * time.Minute, over: true},
			{since: 160 * time.Second, wall: 3 * time.Minute, over: true, due: true},
		}},
		"started with a clock that is late: no longer than it says": {looks: []look{
			{since: 100 * time.Second, wall: -99 * time.Hour},
			{since: 159 * time.Second, wall: -99 * time.Hour},
			{since: 160 * time.Second, wall: -99 * time.Hour, over: true, due: true},
		}},
		"started again: what was counted counts": {restored: &Sighting{First: 90 * time.Second, Lasts: within}, looks: []look{
			{since: 100 * time.Second, wall: 99 * time.Hour},
			{since: 149 * time.Second, wall: 99 * time.Hour},
			{since: 150 * time.Second, wall: 0, over: true, due: true},
		}},
		"started again after its end": {restored: &Sighting{First: 10 * time.Second, Lasts: within}, looks: []look{
			{since: 100 * time.Second, wall: 0, over: true, due: true},
		}},
		"what was kept is from the future: it is not believed": {restored: &Sighting{First: time.Hour, Lasts: within}, looks: []look{
			{since: 100 * time.Second, wall: 0},
			{since: 160 * time.Second, wall: 0, over: true, due: true},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p := tryPolicy("p", 1, by, within, nil)
			id, _ := TrialIDOf(p)
			snap := &policy.Snapshot{Policies: []*policy.Policy{p}}
			var trials Trials
			if tc.restored != nil {
				trials.Restore(map[TrialID]Sighting{id: *tc.restored}, at(tc.looks[0].since, trialStart))
			}
			if tc.empty {
				trials.Look(&policy.Snapshot{}, at(tc.looks[0].since-time.Second, trialStart))
			}
			for i, l := range tc.looks {
				got, _ := trials.Look(snap, at(l.since, trialStart.Add(l.wall)))
				if (len(got.Over) == 1) != l.over || (len(got.Due) == 1) != l.due {
					t.Errorf("look %d: over %v, due %v, want %v, %v", i, got.Over, got.Due, l.over, l.due)
				}
				if !l.due && (got.Next <= l.since || got.Next > l.since+within) {
					t.Errorf("look %d: the next one at %s, now is %s", i, got.Next, l.since)
				}
			}
		})
	}
}

// A policy that goes and comes again with the same trial is not tried again; one
// that is enforced again is.
func TestTrialsAreRemembered(t *testing.T) {
	p := tryPolicy("p", 1, trialStart.Add(time.Minute), time.Minute, nil)
	with, without := &policy.Snapshot{Policies: []*policy.Policy{p}}, &policy.Snapshot{}
	var trials Trials
	trials.Look(without, at(0, trialStart))
	trials.Look(with, at(10*time.Second, trialStart))
	trials.Look(without, at(20*time.Second, trialStart))
	if got, _ := trials.Look(with, at(70*time.Second, trialStart)); len(got.Over) != 1 {
		t.Error("it began anew")
	}
	next := tryPolicy("p", 2, trialStart.Add(2*time.Minute), time.Minute, nil)
	if got, _ := trials.Look(&policy.Snapshot{Policies: []*policy.Policy{next}}, at(71*time.Second, trialStart)); len(got.Over) != 0 {
		t.Error("the next revision has no time of its own")
	}
	if _, changed := trials.Look(without, at(3*24*time.Hour, trialStart)); !changed || len(trials.Known()) != 0 {
		t.Errorf("%d are remembered for ever", len(trials.Known()))
	}
}

func TestEffective(t *testing.T) {
	before := &policy.Policy{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "b"}, Order: 5}
	a, b := tryPolicy("a", 1, trialStart, time.Minute, nil), tryPolicy("b", 1, trialStart, time.Minute, before)
	c := &policy.Policy{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "c"}}
	snap := &policy.Snapshot{Revision: 9, Policies: []*policy.Policy{a, b, c}}
	if Effective(snap, nil) != snap {
		t.Error("nothing is over, and it is another snapshot")
	}
	got := Effective(snap, []*policy.Policy{a, b})
	if len(got.Policies) != 2 || got.Policies[0] != before || got.Policies[1] != c || got.Revision != 9 {
		t.Errorf("%+v", got.Policies)
	}
	if len(snap.Policies) != 3 {
		t.Error("the snapshot itself has changed")
	}
}

// Whatever happens to clocks and agents: a trial that has been seen ends within
// its time, for good, and starting again never makes it longer.
func TestTrialsNeverLastLonger(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		within := time.Duration(rapid.IntRange(1, 600).Draw(r, "within")) * time.Second
		p := tryPolicy("p", 1, trialStart.Add(within), within, nil)
		snap := &policy.Snapshot{Policies: []*policy.Policy{p}}
		now, first, over := time.Duration(0), time.Duration(-1), false
		trials := &Trials{}
		for range rapid.IntRange(1, 20).Draw(r, "looks") {
			now += time.Duration(rapid.IntRange(0, 120).Draw(r, "step")) * time.Second
			moment := at(now, trialStart.Add(time.Duration(rapid.IntRange(-1e6, 1e6).Draw(r, "wall"))*time.Second))
			if rapid.Bool().Draw(r, "restart") {
				known := trials.Known()
				trials = &Trials{}
				trials.Restore(known, moment)
			}
			if rapid.IntRange(0, 3).Draw(r, "gone") == 0 {
				trials.Look(&policy.Snapshot{}, moment)
				continue
			}
			if first < 0 {
				first = now
			}
			got, _ := trials.Look(snap, moment)
			isOver := len(got.Over) == 1
			switch {
			case over && !isOver:
				r.Fatalf("it was over, and is not at %s", now)
			case !isOver && now >= first+within:
				r.Fatalf("first seen at %s, it lasts still at %s", first, now)
			case len(got.Due) == 1 && now < first+within:
				r.Fatalf("first seen at %s, it is due at %s", first, now)
			}
			over = isOver
		}
	})
}
