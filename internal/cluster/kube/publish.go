package kube

import (
	"context"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// leisure is how much longer than making a snapshot takes the next one waits,
// so that a flood of changes costs a part of one processor at most.
const leisure = 3

// longestPause bounds that wait.
const longestPause = 100 * time.Millisecond

// publish sends states. A change is sent at once; while changes rush in, each
// state has as many of them as came while the one before was made.
func (f *following) publish(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-f.wake:
		}
		start := time.Now()
		f.mu.Lock()
		again := f.send()
		f.mu.Unlock()
		wait := min(leisure*time.Since(start), longestPause)
		if again > 0 {
			time.AfterFunc(again, f.nudge)
		}
		if !pause(ctx, wait) {
			return
		}
	}
}

// pause waits; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// send makes the state and sends it to everyone, if it is another one. What it
// returns is when to try again. f.mu is held.
func (f *following) send() time.Duration {
	if !f.synced() {
		return 0
	}
	before := f.state.Versions
	again := f.build()
	if f.state.Versions == before {
		return again
	}
	for ch := range f.watchers {
		select {
		case <-ch:
		default:
		}
		ch <- f.state
	}
	return again
}

// build brings the state up to date with the cache. What it returns is when to
// try again. f.mu is held.
func (f *following) build() time.Duration {
	if f.changed || f.latest == nil {
		f.rev++
		snap, more := policy.NewSnapshot(f.rev, f.cache.housed(), f.latest)
		f.latest, f.faults, f.changed = snap, append(f.cache.allFaults(), more...), false
	}
	if wait := f.hold(); wait > 0 {
		return wait
	}
	if f.state.Snapshot == f.latest && !f.moved {
		return 0
	}
	if f.state.Snapshot == nil {
		close(f.ready)
	}
	f.state = cluster.State{Snapshot: f.latest, Faults: f.faults, Versions: f.cache.versions()}
	f.moved = false
	return 0
}
