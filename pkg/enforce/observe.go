//go:build linux

package enforce

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
)

const (
	// attemptsKept bounds the refused attempts that are told apart from their
	// retransmissions.
	attemptsKept = 200_000
)

// observe turns what the kernel saw into flows until ctx ends. It waits for
// the first rules, since nothing is judged before.
func (a *Agent) observe(ctx context.Context) error {
	refused := a.denied
	logged, err := openLog(ctx, a.opts.Log, LogGroup)
	if err != nil {
		return err
	}
	defer logged.Close()
	select {
	case <-ctx.Done():
		return nil
	case <-a.programmed:
	}
	g, ctx := errgroup.WithContext(ctx)
	// Numbers in the logs of a former agent's rules are not ours.
	ours := func(d *collect.Denied) bool { return !d.Time.Before(a.firstCommit) }
	g.Go(func() error { return a.conns.Run(ctx, a.connection, a.connectionsTold) })
	// Ready is who also counts: from here on no connection begins unheard.
	g.Go(func() error {
		select {
		case <-ctx.Done():
		case <-a.conns.Ready():
			// What reading all resources took is never needed at once again.
			debug.FreeOSMemory()
			collectSeldom(ctx)
			a.ready.Store(true)
		}
		return nil
	})
	attempts := collect.NewAttempts(attemptsKept)
	g.Go(func() error {
		return refused.Run(ctx, func(d *collect.Denied) {
			if ours(d) {
				a.refused(d, attempts.First(d))
			}
		})
	})
	lines := a.newLogWriter()
	g.Go(func() error {
		return logged.Run(ctx, func(d *collect.Denied) {
			if ours(d) {
				lines.packet(d)
			}
		})
	})
	g.Go(func() error {
		lines.keep(ctx, func(err error) { a.opts.Log.Error("lines of Log rules can't be written", "error", err) })
		return nil
	})
	g.Go(func() error { everySecond(ctx, a.noteLoss(ctx, refused), a.noteUnlogged(ctx, logged)); return nil })
	g.Go(func() error { a.noteFill(ctx); return nil })
	return g.Wait()
}

func openLog(ctx context.Context, to *slog.Logger, group uint16) (log *collect.Log, err error) {
	err = takeOver(ctx, to, func() error {
		log, err = collect.OpenLog(collect.Options{}, group)
		return err
	})
	return log, err
}

// everySecond takes the steps at once and then once a second until ctx ends: all
// together, since waking up is what costs on an idle processor.
func everySecond(ctx context.Context, steps ...func()) {
	for ; ctx.Err() == nil; pause(ctx, time.Second) {
		for _, step := range steps {
			step()
		}
	}
}

// noteLoss is the step that tells the flows what is missing in them.
func (a *Agent) noteLoss(ctx context.Context, refused *collect.Log) func() {
	var told uint64
	var unknown bool
	over := overflow{log: refused, group: DenyGroup, many: busyRefusals, counters: a.kernel.Logged}
	return func() {
		conns, denies := a.conns.Loss(), refused.Loss()
		kept, err := over.lost()
		if err != nil && ctx.Err() == nil {
			a.opts.Log.Error("counters of refusals can't be read", "error", err)
		}
		if late := a.counters.late.Swap(conns.Late); late != conns.Late {
			// Nothing is missing, but while it lasts the kernel keeps connections
			// that ended, and tries to tell of the others with every packet.
			a.opts.Log.Warn("connections come and go faster than their events are read", "messages kept back", conns.Late-late)
		}
		lost := conns.Lost + denies.Lost + kept
		more := conns.Unknown || denies.Unknown
		if lost != told || more != unknown {
			a.flows.Lost(int64(lost-told), more, a.opts.Now())
			told, unknown = lost, more
		}
	}
}
