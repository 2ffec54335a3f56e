//go:build linux

package collect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// reader empties a socket into a queue and does nothing else. While messages
// come it looks at regular intervals: to be woken for every message of a burst
// would cost more than reading it. It sleeps by the runtime's timer: after a
// system call that takes long the runtime watches its threads every 20 µs for
// a while, which with one such call a millisecond took a quarter of the agent's
// time. Only when there is nothing to read it blocks a thread.
type reader struct {
	events *nfnl.Conn
	queue  *queue
	batch  *nfnl.Batch
	buf    []byte // keeps its capacity
	// emptied is when nothing was left to read: what comes is not older.
	emptied time.Time
}

const (
	maxEvent = nfnl.MaxMessage
	// rest is the pause when all is read, so that many messages are read
	// together.
	rest = 10 * time.Millisecond
	// restBytes is the buffer that a pause needs: several times as much as can
	// come meanwhile. With less the pause is shorter in proportion.
	restBytes = 4 << 20
)

// restFor is the pause that a buffer of so many bytes allows.
func restFor(buffer int) time.Duration {
	return rest * time.Duration(min(buffer, restBytes)) / restBytes
}

// run reads until ctx ends, and then what is there still.
func (r *reader) run(ctx context.Context) error {
	defer r.queue.end()
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	stopped := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_, _ = unix.Write(stop, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	})
	defer func() {
		if !unwatch() {
			<-stopped
		}
		_ = unix.Close(stop)
	}()
	r.batch, r.buf = nfnl.NewBatch(), make([]byte, 0, chunkSize+nfnl.MaxBatch)
	pause := restFor(r.events.ReadBuffer())
	for {
		ended := ctx.Err() != nil // what comes now may be left
		some, err := r.empty(ctx)
		switch {
		case err != nil || ended:
			return err
		case some:
			time.Sleep(pause)
		default:
			err = r.events.Wait(stop)
		}
		if err != nil {
			return ignoreClosed(err)
		}
	}
}

// empty reads until there is no more, or as much as waits at most, so that it
// ends; some tells that there was something.
func (r *reader) empty(ctx context.Context) (some bool, err error) {
	for read := 0; read < maxQueue; read += chunkSize {
		all, err := r.fill(ctx)
		some = some || len(r.buf) > 0
		if all || err != nil {
			return some, err
		}
	}
	return some, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// fill takes what is there, up to a chunk; all tells that there is no more.
func (r *reader) fill(ctx context.Context) (all bool, err error) {
	start := time.Now()
	ch := chunk{after: r.emptied}
	r.buf = r.buf[:0]
	for !all && len(r.buf) < chunkSize {
		r.buf, all, err = r.events.TryReceiveAll(r.buf, r.batch)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			ch.overrun = true
		case errors.Is(err, os.ErrClosed):
			all = true
		case err != nil:
			return false, err
		}
	}
	if all {
		r.emptied = start
	}
	if len(r.buf) > 0 || ch.overrun {
		ch.messages, ch.at = r.buf, time.Now()
		r.queue.put(ctx, &ch)
	}
	return all, nil
}
