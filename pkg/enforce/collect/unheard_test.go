//go:build linux

package collect

import (
	"context"
	"testing"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// Connections whose beginning did not fit into the buffer, and that are learnt
// of at their end only, began since collecting did: they count.
func TestUnheardConnectionsAreNotOld(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		c, err := OpenConntrack(Options{NetNS: w.router.FD(), ReadBuffer: 4096})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		const burst = 200
		w.burst(t, burst) // nobody reads
		forgetAll(t, c)
		r := &recorder{}
		running(t, func(ctx context.Context) error { return c.Run(ctx, r.add, func() {}) })
		r.await(t, "all ends", func(e []Event) bool { return count(e, Ended) >= burst })
		old, unheard := 0, 0
		r.mu.Lock()
		defer r.mu.Unlock()
		for i := range r.events {
			if e := &r.events[i]; e.Kind == Started && e.Old {
				old++
			} else if e.Kind == Started && e.Unheard {
				unheard++
			}
		}
		if started := count(r.events, Started); started != burst || old != 0 || unheard == 0 {
			t.Errorf("%d started, %d of them old, %d unheard; want %d, none and some", started, old, unheard, burst)
		}
	})
}

// What began before, while another agent listened, and ended before it could
// be listed, is old.
func TestOldConnectionThatEndsUnlisted(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		w := newWorld(t)
		w.listen(t, serverAddr, openPort)
		_, former := w.watch(t, Options{})
		w.dial(t, "tcp", serverAddr, openPort)
		former.await(t, "the start", func(e []Event) bool { return len(e) > 0 })
		c, err := OpenConntrack(Options{NetNS: w.router.FD()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		forgetAll(t, c)
		r := &recorder{}
		running(t, func(ctx context.Context) error { return c.Run(ctx, r.add, func() {}) })
		r.await(t, "the end", func(e []Event) bool { return count(e, Ended) == 1 })
		if got := r.of(Started, openPort); len(got) != 1 || !got[0].Old || got[0].Unheard {
			t.Errorf("told %+v, want an old one", got)
		}
	})
}

// forgetAll deletes all connections.
func forgetAll(t *testing.T, c *Conntrack) {
	t.Helper()
	var all []Connection
	if err := c.Dump(t.Context(), func(c *Connection) { all = append(all, *c) }); err != nil {
		t.Fatal(err)
	}
	for i := range all {
		if _, err := c.Delete(&all[i]); err != nil {
			t.Fatal(err)
		}
	}
}
