package kube

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// following is the state of a store that is watched: what the followers of
// each kind have put together.
type following struct {
	*core
	followers []*follower

	mu       sync.Mutex
	cache    *cache
	changed  bool // the resources are not those of state.Snapshot any more
	moved    bool // the versions are not those of state.Versions any more
	rev      uint64
	state    cluster.State
	watchers map[chan cluster.State]bool
	// latest is the newest Snapshot; state has an older one while it is held.
	latest *policy.Snapshot
	faults policy.Faults
	held   time.Time
	logged map[string]time.Time // what went wrong, and when that was last said
	ready  chan struct{}        // closed with the first state
	wake   chan struct{}
}

// Watch sends a State as soon as everything was read once, and after every
// change. A State that was not taken is replaced by a newer one.
func (s *Store) Watch(ctx context.Context) (<-chan cluster.State, error) {
	f := s.follow()
	ch := make(chan cluster.State, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Snapshot != nil {
		ch <- f.state
	}
	f.watchers[ch] = true
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, ch)
		close(ch)
	})
	return ch, nil
}

// follow starts the followers, once.
func (c *core) follow() *following {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.following != nil {
		return c.following
	}
	f := &following{core: c, cache: newCache(), watchers: map[chan cluster.State]bool{}, logged: map[string]time.Time{}, ready: make(chan struct{}), wake: make(chan struct{}, 1)}
	for _, kind := range enforcedKinds {
		if res, ok := c.form.Resource(kind); ok {
			f.followers = append(f.followers, newFollower(f, kind, res))
		}
	}
	for _, w := range f.followers {
		go w.run(c.ctx)
	}
	go f.publish(c.ctx)
	c.following = f
	return f
}

// first waits for the first state and returns the present one.
func (f *following) first(ctx context.Context) (cluster.State, error) {
	select {
	case <-f.ready:
	case <-ctx.Done():
		return cluster.State{}, ctx.Err()
	case <-f.ctx.Done():
		return cluster.State{}, f.ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.send()
	return f.state, nil
}

func (f *following) keys() []policy.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cache.keys()
}

// apply changes the cache; change says whether any resource is another now.
func (f *following) apply(change func(*cache) bool) {
	f.mu.Lock()
	f.changed = change(f.cache) || f.changed
	f.moved = true
	f.mu.Unlock()
	f.nudge()
}

func (f *following) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// synced says whether every kind has been read once. f.mu is held.
func (f *following) synced() bool {
	return !slices.ContainsFunc(f.followers, func(w *follower) bool { return !w.synced })
}

// Waiting are the resources that were not read yet, and why: until there are
// none, no State is sent.
func (s *Store) Waiting() []string {
	f := s.follows()
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, w := range f.followers {
		switch {
		case w.trouble != "":
			out = append(out, w.res.String()+": "+w.trouble)
		case !w.synced:
			out = append(out, w.res.String()+": not read yet")
		}
	}
	return out
}

// Reload is the state that has all that was written before the call. A watch
// tells of changes only, so what it has is compared with what there is. Agents
// that wait for one change ask State.Has instead.
func (s *Store) Reload(ctx context.Context) (cluster.State, error) {
	f := s.follows()
	if f == nil {
		s.forget()
		snap, faults, err := s.Snapshot(ctx)
		return cluster.State{Snapshot: snap, Faults: faults}, err
	}
	if _, err := f.first(ctx); err != nil {
		return cluster.State{}, err
	}
	var problems []string
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, w := range f.followers {
		group.Go(func() {
			if err := w.catchUp(ctx); err != nil {
				mu.Lock()
				problems = append(problems, err.Error())
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(problems) > 0 {
		slices.Sort(problems)
		return cluster.State{}, &cluster.Failure{What: "the cluster can't be read", Where: problems, Try: s.kubectl("cluster-info"), Err: ctx.Err()}
	}
	return f.newest(ctx)
}

// newest is the state of all that is known, also of what is kept back now.
func (f *following) newest(ctx context.Context) (cluster.State, error) {
	for {
		f.mu.Lock()
		again, state := f.send(), f.state
		f.mu.Unlock()
		if again == 0 {
			return state, nil
		}
		if !pause(ctx, again) {
			return cluster.State{}, ctx.Err()
		}
	}
}
