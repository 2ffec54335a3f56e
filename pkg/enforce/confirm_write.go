//go:build linux

package enforce

import (
	"context"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/stage"
)

const (
	// takeBackEvery is how often it is tried to write back what is over, and
	// takeBackLimit how long one attempt may take.
	takeBackEvery, takeBackLimit = 2 * time.Second, 10 * time.Second
	// takeBackSpread is how far the agents of a cluster lie apart, so that the
	// first has written before most others ask.
	takeBackSpread = time.Second
)

// takeBack writes back what nobody confirmed, until ctx ends. It is only about
// what the API says: on this node the policy is what it was since the moment its
// trial was over.
func (a *Agent) takeBack(ctx context.Context) {
	store, ok := a.opts.Source.(cluster.Store)
	if !ok {
		return
	}
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-a.trials.due:
		}
		if _, server := store.(cluster.Server); server {
			pause(ctx, spread(a.opts.Node))
		}
		for len(a.trials.open()) > 0 && ctx.Err() == nil {
			for _, id := range a.trials.open() {
				a.trials.tried(id, a.takeBackOne(ctx, store, id))
			}
			pause(ctx, takeBackEvery)
		}
	}
}

// spread is a part of takeBackSpread that is another for each node.
func spread(node string) time.Duration {
	h := fnv.New32a()
	_, _ = h.Write([]byte(node))
	return time.Duration(h.Sum32()%1000) * takeBackSpread / 1000
}

// takeBackOne takes one trial back, if the policy is still on it. Of several who
// do so, and of who confirms at the same time, the one that the store hears first
// wins; the others find another policy.
func (a *Agent) takeBackOne(ctx context.Context, store cluster.Store, id stage.TrialID) error {
	ctx, cancel := context.WithTimeout(ctx, takeBackLimit)
	defer cancel()
	done, err := cluster.TakeBack(ctx, store, id, stage.NewRevert(stage.RevertDeadline, "agent on "+a.opts.Node, a.trials.wall()))
	if !done {
		return err
	}
	a.opts.Log.Warn("written back: nobody had confirmed it", "policy", id.Key, "revision", id.Revision)
	if err != nil {
		a.opts.Log.Error("netpol history will not know that: it can't be noted", "policy", id.Key, "error", err)
	}
	return nil
}

// open are the trials to write back, in order.
func (t *trials) open() []stage.TrialID {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(maps.Keys(t.overdue), func(a, b stage.TrialID) int {
		return slices.Compare([]string{string(a.Key.Kind), a.Key.Namespace, a.Key.Name}, []string{string(b.Key.Kind), b.Key.Namespace, b.Key.Name})
	})
}

// tried notes why one could not be written back; what was stays to be done until
// the policy is told as it is now.
func (t *trials) tried(id stage.TrialID, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, open := t.overdue[id]
	if !open {
		return
	}
	why := ""
	if err != nil {
		why = err.Error()
	}
	if why != "" && why != before {
		t.log.Error("what nobody confirmed can't be written back; this node has what was before all the same", "policy", id.Key, "error", why)
	}
	t.overdue[id] = why
}
