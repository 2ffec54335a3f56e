//go:build linux

package enforce

import (
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// trials are the policies that are enforced until somebody confirms them.
// The programming loop alone calls apply.
type trials struct {
	log   *slog.Logger
	since func() time.Duration
	wall  func() time.Time
	file  trialFile
	state stage.Trials
	// next wakes the programming loop to ask whether at has come, when a trial is over.
	next *time.Timer
	at   time.Duration

	// from became made while over was over.
	from, made *policy.Snapshot
	over       []*policy.Policy
	// told are the trials of which it was logged that they are over.
	told map[stage.TrialID]bool

	// due wakes who writes back.
	due chan struct{}
	mu  sync.Mutex
	// overdue are the trials to write back, and why that failed last.
	overdue map[stage.TrialID]string
}

// sinceBoot is a clock that nobody sets, and that goes on while the machine
// sleeps.
func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return 0 // the kernel has it since 2.6.39
	}
	return time.Duration(t.Nano())
}

// newTrials takes over what the agent before on this node knew.
func newTrials(opts *Options) *trials {
	t := &trials{
		log: opts.Log, since: opts.since, wall: opts.wall, file: trialFileIn(opts),
		told: map[stage.TrialID]bool{}, due: make(chan struct{}, 1), overdue: map[stage.TrialID]string{},
	}
	if t.since == nil {
		t.since = sinceBoot
	}
	if t.wall == nil {
		t.wall = opts.Now
	}
	known, err := t.file.read()
	if err != nil {
		t.log.Warn("what the agent before knew of policies on trial can't be read; the time of day counts for them", "error", err)
	}
	t.state.Restore(known, t.now())
	t.next = time.NewTimer(time.Hour)
	t.next.Stop()
	return t
}

func (t *trials) now() stage.Moment { return stage.Moment{Since: t.since(), Wall: t.wall()} }

// apply is the snapshot as it is to be enforced now.
func (t *trials) apply(snap *policy.Snapshot) *policy.Snapshot {
	now := t.now()
	judged, changed := t.state.Look(snap, now)
	if changed {
		if err := t.file.write(t.state.Known()); err != nil {
			t.log.Warn("policies on trial can't be kept for the next agent; the time of day will count for them", "error", err)
		}
	}
	t.at = judged.Next
	t.arm(now.Since)
	t.tell(judged)
	if t.from != snap || !slices.Equal(t.over, judged.Over) {
		t.from, t.over, t.made = snap, judged.Over, stage.Effective(snap, judged.Over)
	}
	return t.made
}

// trialTick is how late at most a trial ends after the machine has slept: timers stand
// still meanwhile, and the clock that counts does not.
const trialTick = time.Second

// arm sets the timer. The programming loop alone calls it.
func (t *trials) arm(now time.Duration) {
	if t.next.Stop(); t.at > 0 {
		t.next.Reset(min(max(t.at-now, 0), trialTick))
	}
}

// came says whether a trial is over now, for which next is to wake; if not, it is armed
// again.
func (t *trials) came() bool {
	now := t.since()
	if now >= t.at {
		return true
	}
	t.arm(now)
	return false
}

// tell says what is over, and hands on what is to be written back.
func (t *trials) tell(judged stage.Judged) {
	for _, p := range judged.Over {
		if id, _ := stage.TrialIDOf(p); !t.told[id] {
			t.told[id] = true
			t.log.Warn("nobody confirmed it in time: what was enforced before is enforced again", "policy", p.Key, "revision", id.Revision)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range t.overdue {
		if !slices.Contains(judged.Due, id) {
			delete(t.overdue, id)
		}
	}
	for _, id := range judged.Due {
		if _, known := t.overdue[id]; !known {
			t.overdue[id] = ""
		}
	}
	if len(t.overdue) > 0 {
		select {
		case t.due <- struct{}{}:
		default:
		}
	}
}

// problems are what could not be written back.
func (t *trials) problems() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []string
	for id, why := range t.overdue {
		if why != "" {
			out = append(out, "warning: nobody confirmed "+id.Key.String()+" in time, so what was before is enforced; that can't be written back: "+why)
		}
	}
	slices.Sort(out)
	return out
}
