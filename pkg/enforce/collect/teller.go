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
	pause  func()
	event  Event // the one that is told, so that none is allocated
}

// run tells until the queue ends; ctx ends what is asked of the kernel.
func (t *teller) run(ctx context.Context, q *queue) error {
	// Events have been kept since OpenConntrack, so what changes during this
	// listing is not missed.
	if err := t.list(ctx, true, true); err != nil {
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
				t.pause()
				q.told(&ch)
			}
			if last {
				return nil
			}
		case <-relist:
			relist = nil
			if err := t.list(ctx, t.c.poll, false); err != nil {
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
			t.ended(&t.event, ch)
		}
	}
}

// began tells of a connection that began, unless that is known.
func (t *teller) began(e *Event, ch *chunk) {
	e.Name = t.mirror.name(&e.Connection)
	slot, former := t.mirror.began(e.Name, ch.after)
	if former != nil {
		t.endOld(e.Name, former, ch.at)
	}
	if slot == nil {
		return
	}
	if e.Start.IsZero() {
		e.Start = ch.at
	}
	e.Kind = Started
	t.each(e)
	slot.keep = e.Keep
}

// endOld tells of the end of an old connection.
func (t *teller) endOld(n Name, e *oldEntry, at time.Time) {
	e.conn.End = at
	t.each(&Event{Kind: Ended, Name: n, At: at, Keep: e.keep, Connection: e.conn})
}

// ended tells of a connection that ended, unless that is known; of its
// beginning too, if that is not.
func (t *teller) ended(e *Event, ch *chunk) {
	e.Name = t.mirror.name(&e.Connection)
	keep, known, again := t.mirror.ended(e.Name, e.At)
	if again {
		return
	}
	if e.End.IsZero() {
		e.End = e.At
	}
	if !known {
		first := *e
		first.Kind, first.Old = Started, t.mirror.older(ch.after)
		first.Unheard = !first.Old
		first.Sent, first.Received, first.End = Counters{}, Counters{}, time.Time{}
		t.each(&first)
		keep = first.Keep
	}
	e.Kind, e.Keep = Ended, keep
	t.each(e)
}

// list reads the table: what is new in it is older than collecting, or its
// message did not fit. silent: nobody will tell of its end.
func (t *teller) list(ctx context.Context, silent, old bool) error {
	at := time.Now()
	err := t.c.table.dump(ctx, func(conn *Connection) {
		name := t.mirror.name(conn)
		if keep := t.mirror.listed(name, conn, silent); keep != nil {
			e := &Event{Kind: Started, Name: name, Old: old, At: at, Connection: *conn}
			t.each(e)
			*keep = e.Keep
			t.pause() // the next one may be far
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
	if err := t.list(ctx, t.c.poll, false); err != nil || ctx.Err() != nil {
		return err
	}
	at := time.Now()
	for name, e := range t.mirror.vanished(at) {
		t.endOld(name, e, at)
	}
	t.pause()
	return nil
}
