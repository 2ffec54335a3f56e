//go:build linux

package collect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// reader empties a socket into a queue and does nothing else. It blocks a
// thread of its own: to be woken by the runtime for every message of a burst
// would cost more than reading it.
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
	// together; the smallest buffers that kernels grant hold several times as
	// many as can come meanwhile.
	rest = time.Millisecond
)

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
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r.batch, r.buf = nfnl.NewBatch(), make([]byte, 0, chunkSize+nfnl.MaxBatch)
	pause := unix.NsecToTimespec(int64(rest))
	for {
		if err := r.events.Wait(stop); err != nil {
			return ignoreClosed(err)
		}
		ended := ctx.Err() != nil // what comes now may be left
		if err := r.empty(ctx); err != nil || ended {
			return err
		}
		_ = unix.Nanosleep(&pause, nil)
	}
}

// empty reads until there is no more, or as much as waits at most, so that it
// ends.
func (r *reader) empty(ctx context.Context) error {
	for read := 0; read < maxQueue; read += chunkSize {
		all, err := r.fill(ctx)
		if all || err != nil {
			return err
		}
	}
	return nil
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
