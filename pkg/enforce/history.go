//go:build linux

package enforce

import (
	"slices"
	"sync"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// revision is what was in the kernel from a moment on.
type revision struct {
	from     time.Time // when it was begun: the kernel can't have had it before
	since    time.Time // when the kernel had it for certain
	model    *tier.Model
	compiled *ruleset.Compiled
}

// historyLife is how long a revision is remembered after another replaced it:
// longer than an event waits in a socket's buffer.
const historyLife = 5 * time.Second

// history knows which revision was in force when a packet was judged.
type history struct {
	mu   sync.RWMutex
	list []revision // oldest first; the last is in force
	next *revision  // on its way to the kernel: it may be in force already
}

// begin notes that r is about to be handed to the kernel. What it judges can
// be read before we know that the kernel has it.
func (h *history) begin(r revision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.since = r.from
	h.next = &r
}

// abandon notes that the kernel did not take what was begun.
func (h *history) abandon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = nil
}

func (h *history) add(r revision) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.next = nil
	h.list = append(h.list, r)
	keep := 0
	for keep < len(h.list)-1 && r.since.Sub(h.list[keep+1].since) > historyLife {
		keep++
	}
	h.list = append([]revision(nil), h.list[keep:]...)
}

// latest is what is in force; ok is false before the first sync.
func (h *history) latest() (r revision, ok bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if len(h.list) == 0 {
		return revision{}, false
	}
	return h.list[len(h.list)-1], true
}

// clockSlack covers what lies between a packet's verdict and its time stamp.
// Events of a burst may be read much
// later than they happened, by no more than historyLife.
const clockSlack = 250 * time.Millisecond

// judge gives the verdict that was in force at t and the one that is pending.
// Where another revision was in force not long before, it may have been the
// one: the newest whose verdict agrees with what was observed is taken, and
// agreed tells whether one did.
func (h *history) judge(t time.Time, ask func(*tier.Model) (enforced, pending tier.Verdict), observed func(tier.Verdict) bool) (enforced, pending tier.Verdict, agreed bool) {
	h.mu.RLock()
	list := h.list // what is in it does not change
	if h.next != nil {
		list = append(slices.Clip(list), *h.next)
	}
	h.mu.RUnlock()
	first := true
	for i := len(list) - 1; i >= 0; i-- {
		if i > 0 && list[i].from.After(t.Add(clockSlack)) {
			continue
		}
		e, p := ask(list[i].model)
		if first {
			enforced, pending, first = e, p, false
		}
		if observed(e) {
			return e, p, true
		}
		if list[i].since.Before(t.Add(-historyLife)) {
			break
		}
	}
	return enforced, pending, false
}

// hitOf tells what a number in a log prefix stands for; numbers are never
// used twice, so any revision that knows it will do.
func (h *history) hitOf(id uint32) (policy.Hit, policy.Direction, bool) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for i := len(h.list) - 1; i >= 0; i-- {
		if hit, dir, ok := h.list[i].compiled.Hit(id); ok {
			return hit, dir, true
		}
	}
	return policy.Hit{}, 0, false
}
