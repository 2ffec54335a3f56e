//go:build linux

package enforce

import (
	"context"
	"runtime/debug"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

const (
	// attemptsKept bounds the refused attempts that are told apart from their
	// retransmissions.
	attemptsKept = 200_000
	// settling is how long after the start a connection whose beginning was
	// not seen counts as older than the agent.
	settling = time.Second
)

// observe turns what the kernel saw into flows until ctx ends. It waits for
// the first rules, since nothing is judged before.
func (a *Agent) observe(ctx context.Context) error {
	refused, err := a.openLog(ctx, DenyGroup)
	if err != nil {
		return err
	}
	defer refused.Close()
	logged, err := a.openLog(ctx, LogGroup)
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
	start := a.opts.Now()
	// Numbers in the logs of a former agent's rules are not ours.
	ours := func(d *collect.Denied) bool { return !d.Time.Before(a.firstCommit) }
	g.Go(func() error { return a.conns.Run(ctx, func(e *collect.Event) { a.connection(e, start) }) })
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
	g.Go(func() error { a.noteLoss(ctx, refused); return nil })
	g.Go(func() error { a.noteFill(ctx); return nil })
	g.Go(func() error { a.noteUnlogged(ctx, logged); return nil })
	return g.Wait()
}

func (a *Agent) openLog(ctx context.Context, group uint16) (log *collect.Log, err error) {
	err = takeOver(ctx, a.opts.Log, func() error {
		log, err = collect.OpenLog(collect.Options{}, group)
		return err
	})
	return log, err
}

// connection takes an event of conntrack: everything in it was allowed by
// every hook that it passed.
func (a *Agent) connection(e *collect.Event, start time.Time) {
	if e.Kind == collect.Ended {
		a.connectionEnded(e)
		return
	}
	c := &liveConn{name: e.Name, id: e.ID, zone: e.Zone, tuple: tupleOf(&e.Connection)}
	known, in := a.recall(&c.tuple, e.At)
	doubt := known == nil
	if doubt && in != nil {
		known = a.learn(&c.tuple, in)
		doubt = known == nil
	}
	if doubt {
		known = a.report(&c.tuple, e.At)
	}
	if len(known.records) == 0 {
		return // neither end is a pod of this node
	}
	c.said = known.said
	older := e.Old && e.At.Sub(start) < settling
	tell := a.flows.StartedAt
	if older {
		tell = a.flows.ExistingAt
	}
	if !a.live.add(c, func() {
		for i := range known.records {
			tell(known.said.reports[i], known.records[i].ends, e.At)
		}
	}) {
		return
	}
	if !older {
		count(known.said.counts)
	}
	// It may have begun under a policy that has been replaced since, while it
	// was not yet among the live ones that were judged again then.
	if doubt || a.history.settled(e.At) != in {
		if a.denies(&c.tuple) {
			a.judgeAgain()
		}
	}
	for i := range known.records {
		if rec := &known.records[i]; !rec.agreed && !older && !c.tuple.vague() {
			a.disagree("the kernel allowed what the model denies", &c.tuple, rec.key.Direction, rec.key.Enforced)
		}
	}
}

func (a *Agent) connectionEnded(e *collect.Event) {
	reports, ok := a.live.remove(e.Name)
	if !ok {
		return
	}
	for _, key := range reports {
		n := flow.Counters{
			PacketsOut: int64(e.Sent.Packets), BytesOut: int64(e.Sent.Bytes),
			PacketsIn: int64(e.Received.Packets), BytesIn: int64(e.Received.Bytes),
		}
		if key.Key().Direction == policy.Ingress { // seen from the other end
			n.PacketsIn, n.PacketsOut, n.BytesIn, n.BytesOut = n.PacketsOut, n.PacketsIn, n.BytesOut, n.BytesIn
		}
		a.flows.EndedAt(key, n, e.At)
	}
}

// noteLoss tells the flows what is missing in them.
func (a *Agent) noteLoss(ctx context.Context, refused *collect.Log) {
	var told uint64
	var unknown bool
	over := overflow{log: refused, group: DenyGroup, many: busyRefusals, counters: a.kernel.Logged}
	for ; ctx.Err() == nil; pause(ctx, time.Second) {
		conns, denies := a.conns.Loss(), refused.Loss()
		kept, err := over.lost()
		if err != nil && ctx.Err() == nil {
			a.opts.Log.Error("counters of refusals can't be read", "error", err)
		}
		lost := conns.Lost + denies.Lost + kept
		more := conns.Unknown || denies.Unknown
		if lost != told || more != unknown {
			a.flows.Lost(int64(lost-told), more, a.opts.Now())
			told, unknown = lost, more
		}
	}
}
