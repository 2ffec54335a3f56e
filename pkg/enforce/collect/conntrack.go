//go:build linux

package collect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// Options say where to collect.
type Options struct {
	// NetNS is a file descriptor of the network namespace; 0 is the current one.
	NetNS int
	// ReadBuffer is the wished size of the sockets' buffers in bytes; 0 is 32 MiB.
	ReadBuffer int
}

func (o Options) readBuffer() int {
	if o.ReadBuffer == 0 {
		return 32 << 20
	}
	return o.ReadBuffer
}

// Conntrack tells of connections. The kernel tracks them only where a rule of
// the namespace asks for their state, and counts their packets only where one
// asks for these.
type Conntrack struct {
	opts   Options
	table  *table
	events *nfnl.Conn

	// poll: the kernel was told not to tell of connections, so the table is
	// listed instead, which misses what is short.
	poll    bool
	sweep   time.Duration
	ready   chan struct{}
	unknown atomic.Bool
}

// OpenConntrack listens from now on; Run tells what was heard.
func OpenConntrack(opts Options) (*Conntrack, error) {
	t, err := openTable(opts.NetNS)
	if err != nil {
		return nil, err
	}
	events, err := nfnl.Open(nfnl.Options{
		NetNS: opts.NetNS, ReadBuffer: opts.readBuffer(), Reliable: true, Unpolled: true,
		Groups: []int{unix.NFNLGRP_CONNTRACK_NEW, unix.NFNLGRP_CONNTRACK_DESTROY},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen to connections: %w", err), t.close())
	}
	c := &Conntrack{opts: opts, table: t, events: events, sweep: sweepEvery, ready: make(chan struct{})}
	if eventsOff(opts.NetNS) {
		c.poll, c.sweep = true, pollEvery
		c.unknown.Store(true)
	}
	return c, nil
}

// eventsOff tells whether somebody switched events off for the whole
// namespace.
func eventsOff(netns int) bool {
	var value []byte
	err := nfnl.InNetNS(netns, func() (err error) {
		value, err = os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_events")
		return err
	})
	return err == nil && strings.TrimSpace(string(value)) == "0"
}

// Ready is closed when Run has told of all connections that it found.
func (c *Conntrack) Ready() <-chan struct{} { return c.ready }

// Dump calls each for every connection that lives now.
func (c *Conntrack) Dump(ctx context.Context, each func(*Connection)) error {
	return c.table.dump(ctx, each)
}

// Delete removes a connection's entry; found is false if it is gone already,
// or another connection has its addresses now. Deleting alone does not cut a
// connection: see S11.
func (c *Conntrack) Delete(conn *Connection) (found bool, err error) { return c.table.delete(conn) }

// Loss says what was missed since OpenConntrack. Messages that did not fit
// into the buffer come again, so only their number is of interest.
func (c *Conntrack) Loss() Loss {
	return Loss{Late: uint64(c.events.Drops()), Unknown: c.unknown.Load()}
}

// Close lets go of the sockets. Run must have ended.
func (c *Conntrack) Close() error { return errors.Join(c.events.Close(), c.table.close()) }

// Run tells of every connection that lives, starts or ends, until ctx ends;
// its error is nil then. It runs once. each is called by one goroutine, and
// pause, by the same, whenever no more events are at hand at once. They may
// take their time: what waits is kept in memory meanwhile (at most maxQueue
// bytes), then in the socket, then in the kernel.
func (c *Conntrack) Run(ctx context.Context, each func(*Event), pause func()) error {
	g, ctx := errgroup.WithContext(ctx)
	q := newQueue()
	g.Go(func() error { return (&reader{events: c.events, queue: q}).run(ctx) })
	g.Go(func() error { return (&teller{c: c, mirror: newMirror(), each: each, pause: pause}).run(ctx, q) })
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("connections: %w", err)
	}
	return nil
}
