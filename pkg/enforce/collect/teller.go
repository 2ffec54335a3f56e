//go:build linux

package collect

import (
	"context"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

const (
	// sweepEvery is how often the table is listed while there are connections
	// whose end the kernel will not tell.
	sweepEvery = 10 * time.Second
	// pollEvery is how often where the kernel tells nothing.
	pollEvery = time.Second
	// relistAfter is how soon the table is listed after an overrun.
	relistAfter = 300 * time.Millisecond
)

// teller turns messages into events that tell each connection once.
type teller struct {
	c      *Conntrack
	mirror *mirror
	each   func(*Event)
	event  Event // the one that is told, so that none is allocated
}

// run tells until the queue ends; ctx ends what is asked of the kernel.
func (t *teller) run(ctx context.Context, q *queue) error {
	// Events have been kept since OpenConntrack, so what changes during this
	// listing is not missed.
	if err := t.list(ctx, true); err != nil {
		return err
	}
	t.mirror.since = time.Now()
	close(t.c.ready)
	sweep := time.NewTicker(t.c.sweep)
	defer sweep.Stop()
	var relist <-chan time.Time
	for {
		select {
		case <-q.there:
			list, last := q.take()
			for _, ch := range list {
				t.mirror.late = t.mirror.late || ch.overrun
				if ch.overrun && relist == nil {
					relist = time.After(relistAfter)
				}
				t.chunk(&ch)
				q.told(&ch)
			}
			if last {
				return nil
			}
		case <-relist:
			relist = nil
			if err := t.list(ctx, t.c.poll); err != nil {
				return err
			}
		case <-sweep.C:
			if err := t.look(ctx); err != nil {
				return err
			}
		}
	}
}

func (t *teller) chunk(ch *chunk) {
	for rest := ch.messages; len(rest) > 0; {
		m, next, err := nfnl.Next(rest)
		if err != nil {
			t.c.unknown.Store(true)
			return
		}
		rest = next
		if m.Type>>8 != unix.NFNL_SUBSYS_CTNETLINK {
			continue
		}
		t.event = Event{At: ch.at}
		if !t.event.Connection.decode(m.Body) {
			continue
		}
		switch m.Type & 0xff {
		case ctNew:
			t.began(&t.event, ch)
		case ctDelete:
			t.ended(&t.event)
		}
	}
}

// began tells of a connection that began, unless that is known.
func (t *teller) began(e *Event, ch *chunk) {
	e.Name = t.mirror.name(&e.Connection)
	fresh, former := t.mirror.began(e.Name, ch.after)
	if former != nil {
		former.End = ch.at
		t.each(&Event{Kind: Ended, Name: e.Name, At: ch.at, Connection: *former})
	}
	if !fresh {
		return
	}
	if e.Start.IsZero() {
		e.Start = ch.at
	}
	e.Kind = Started
	t.each(e)
}

// ended tells of a connection that ended, unless that is known; of its
// beginning too, if that is not.
func (t *teller) ended(e *Event) {
	e.Name = t.mirror.name(&e.Connection)
	known, again := t.mirror.ended(e.Name, e.At)
	if again {
		return
	}
	if e.End.IsZero() {
		e.End = e.At
	}
	if !known {
		first := *e
		first.Kind, first.Old = Started, true
		first.Sent, first.Received, first.End = Counters{}, Counters{}, time.Time{}
		t.each(&first)
	}
	e.Kind = Ended
	t.each(e)
}

// list reads the table: what is new in it began unheard.
func (t *teller) list(ctx context.Context, silent bool) error {
	at := time.Now()
	err := t.c.table.dump(ctx, func(conn *Connection) {
		name := t.mirror.name(conn)
		if t.mirror.listed(name, conn, silent) {
			// Without silence it has begun since collecting did: only its
			// message did not fit.
			t.each(&Event{Kind: Started, Name: name, Old: silent, At: at, Connection: *conn})
		}
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// look finds out which of the connections ended whose end nobody tells.
func (t *teller) look(ctx context.Context) error {
	if len(t.mirror.old) == 0 && !t.c.poll {
		return nil
	}
	t.mirror.round++
	if err := t.list(ctx, t.c.poll); err != nil || ctx.Err() != nil {
		return err
	}
	at := time.Now()
	for name, conn := range t.mirror.vanished(at) {
		conn.End = at
		t.each(&Event{Kind: Ended, Name: name, At: at, Connection: *conn})
	}
	return nil
}
