package stage

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
)

// jointTrial is several policies that one command put on trial, as an API has
// them, and a node that is told of them one after the other.
type jointTrial struct {
	t      *rapid.T
	api    []*policy.Policy // sorted, as a snapshot has them
	all    []*policy.Policy // as they are on trial
	trials Trials
	snap   *policy.Snapshot
	passed time.Duration
	boot   time.Duration
	skew   time.Duration
	whole  bool // the node was told of all of them
	over   bool
}

func (j *jointTrial) put(p *policy.Policy) {
	j.api = append(slices.DeleteFunc(slices.Clone(j.api), func(q *policy.Policy) bool { return q.Key == p.Key }), p)
	slices.SortFunc(j.api, func(a, b *policy.Policy) int { return a.Key.Compare(b.Key) })
}

// back writes one of them back.
func (j *jointTrial) back(p *policy.Policy) {
	j.api = slices.DeleteFunc(slices.Clone(j.api), func(q *policy.Policy) bool { return q.Key == p.Key })
	if p.Trial.Previous != nil {
		was := *p.Trial.Previous // as it is read again
		j.put(&was)
	}
}

func (j *jointTrial) told() {
	j.snap = &policy.Snapshot{Policies: j.api}
	j.look()
}

// look is what the node enforces: all that is on trial, or all that was before.
func (j *jointTrial) look() {
	judged, _ := j.trials.Look(j.snap, Moment{Since: j.boot + j.passed, Wall: trialStart.Add(j.passed + j.skew)})
	if !j.whole {
		return
	}
	got := Effective(j.snap, judged.Over)
	on := 0
	for _, p := range j.all {
		if q := got.Policy(p.Key); q != nil && q.Order == p.Order {
			on++
		}
	}
	switch {
	case on != 0 && on != len(j.all):
		j.t.Fatalf("after %s it enforces %d of %d policies on trial: nobody judged those alone", j.passed, on, len(j.all))
	case on > 0 && j.over:
		j.t.Fatalf("after %s it enforces again what it went back from", j.passed)
	}
	j.over = on == 0
}

func (j *jointTrial) wait(most int, what string) {
	j.passed += time.Duration(rapid.IntRange(0, most).Draw(j.t, what)) * time.Second
	j.look()
}

// Policies that one command put on trial end together, on each node in one
// moment: however long after each other it is told of them, whether it counts from
// the beginning or learnt of them late, and whoever writes them back, one by one,
// in whatever order. So there is nothing between what was before and what was on
// trial, neither refused nor open.
func TestPropertyTrialsOfOneCommandEndTogether(t *testing.T) {
	const within = 5 * time.Minute
	rapid.Check(t, func(t *rapid.T) {
		j := &jointTrial{t: t, boot: time.Hour, snap: &policy.Snapshot{}, skew: time.Duration(rapid.IntRange(-4, 4).Draw(t, "skew")) * time.Second}
		for i := range rapid.IntRange(2, 4).Draw(t, "policies") {
			name := fmt.Sprintf("p%d", i)
			p := tryPolicy(name, uint64(i+1), trialStart.Add(within), within, nil)
			if p.Order = 10; rapid.Bool().Draw(t, name+" was there") {
				p.Trial.Previous = &policy.Policy{Key: p.Key, Order: 20}
				j.put(p.Trial.Previous)
			}
			j.all = append(j.all, p)
		}
		j.told()
		late := rapid.Bool().Draw(t, "late")
		for _, p := range j.all {
			if j.put(p); !late {
				j.told()
				j.wait(10, "the next one comes after")
			}
		}
		if late {
			j.wait(200, "cut off for")
		}
		j.whole = true
		j.told()
		for range rapid.IntRange(0, 5).Draw(t, "restarts") {
			j.wait(60, "restarts after")
			known := j.trials.Known()
			j.trials = Trials{}
			j.trials.Restore(known, Moment{Since: j.boot + j.passed})
			j.look()
		}
		j.passed = max(j.passed, within)
		j.look()
		for _, p := range rapid.Permutation(j.all).Draw(t, "written back") {
			j.back(p)
			j.told()
			j.wait(3, "and the next one after")
		}
		if j.passed += within; !j.over {
			t.Fatal("it is written back, and the node enforces something else")
		}
	})
}

// What ends trials together, and what does not.
func TestTrialsOfOneCommand(t *testing.T) {
	const within = time.Minute
	by := trialStart.Add(within)
	before := &policy.Policy{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "a"}, Order: 5}
	a, b := tryPolicy("a", 1, by, within, before), tryPolicy("b", 7, by, within, nil)
	confirmed := *a
	confirmed.Trial, confirmed.Order = nil, 9
	snap := func(list ...*policy.Policy) *policy.Snapshot { return &policy.Snapshot{Policies: list} }
	other := tryPolicy("b", 7, by.Add(1), within, nil)
	for name, tc := range map[string]struct {
		second *policy.Policy
		then   *policy.Snapshot // a second before the time of day says that they end
		over   int              // of them, when the first of them is over
		early  int              // over a second before that
	}{
		"together, when the first of them is":                         {b, snap(a, b), 2, 0},
		"of two commands, each for itself":                            {other, snap(a, other), 1, 0},
		"one is confirmed: the other ends when it would have":         {b, snap(&confirmed, b), 1, 0},
		"one is written back: the other ends at once":                 {b, snap(before, b), 1, 1},
		"one is written back, of another command":                     {other, snap(before, other), 0, 0},
		"one is taken away, where something was before: it is no end": {b, snap(b), 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var trials Trials
			trials.Look(snap(before), at(0, trialStart))
			trials.Look(snap(a), at(10*time.Second, trialStart.Add(9*time.Second)))
			trials.Look(snap(a, tc.second), at(20*time.Second, trialStart.Add(19*time.Second)))
			early, _ := trials.Look(tc.then, at(69*time.Second, by.Add(-time.Second)))
			if len(early.Over) != tc.early || len(early.Due) > 0 {
				t.Errorf("a second before: %d are over, want %d; to write back: %v", len(early.Over), tc.early, early.Due)
			}
			got, _ := trials.Look(tc.then, at(70*time.Second, by))
			if len(got.Over) != tc.over || len(got.Due) != tc.over {
				t.Errorf("%d are over and %d to be written back, want %d", len(got.Over), len(got.Due), tc.over)
			}
		})
	}
	// By a time of day that is far off nobody's deletion ends another's trial.
	var trials Trials
	trials.Look(snap(), at(0, trialStart))
	trials.Look(snap(a, b), at(10*time.Second, trialStart))
	if got, _ := trials.Look(snap(before, b), at(20*time.Second, trialStart.Add(10*time.Second))); len(got.Over) > 0 {
		t.Error("half a minute before the end somebody wrote the former one, and the other is over")
	}
}
