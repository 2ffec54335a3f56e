//go:build linux

package enforce

import (
	"sync"

	"github.com/netpol-project/netpol/internal/cluster"
)

// current is the state that is in the kernel, for those who wait for one.
type current struct {
	mu      sync.Mutex
	state   cluster.State
	changed chan struct{} // closed with the next state; nil if nobody waits
}

// set publishes that a state is in the kernel.
func (c *current) set(s cluster.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// inForce is the state that is in the kernel, without Snapshot before there is
// one, and what is closed as soon as there is another.
func (a *Agent) inForce() (cluster.State, <-chan struct{}) {
	c := &a.current
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.state, c.changed
}

// differs says whether next has to be programmed when state is in the kernel:
// a source may tell of versions that make no difference.
func (a *Agent) differs(state, next cluster.State) bool {
	in, _ := a.inForce()
	return a.behind.Load() || in.Snapshot != next.Snapshot || state.Snapshot != next.Snapshot || !sameFaults(state, next)
}

func sameFaults(a, b cluster.State) bool {
	return len(a.Faults) == len(b.Faults) && (len(a.Faults) == 0 || &a.Faults[0] == &b.Faults[0])
}
