package cmd

import (
	"context"
	"errors"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

const (
	// guardEvery is how often a command on guard looks at the policy, and
	// guardLimit how long it tries to go back when it is interrupted.
	guardEvery, guardLimit = 500 * time.Millisecond, 10 * time.Second
)

// trialGuard is a command that stays until a trial ends.
type trialGuard struct {
	opts  *EnforceOptions
	store cluster.Store
	key   policy.Key
	// id is the trial once it was read: it has a revision that writing gave it.
	id    stage.TrialID
	start time.Time
	// others: agents of ours go back as well.
	others bool
	// looks counts; blind: it was said that flows can't be read.
	looks int
	blind bool
	// unreached: it was said that the resources can't be read.
	unreached bool
}

// guard waits until what was enforced is confirmed, or goes back. Where nobody
// else would, it goes back when it is interrupted, too: a command that is gone
// guards nothing.
func (o *EnforceOptions) guard(ctx context.Context, key policy.Key) error {
	g, err := o.newGuard(ctx, key)
	if err != nil {
		return err
	}
	o.IO.ErrPrinter().Printf("on guard for %s; to keep it, in another terminal: %s\n", o.Confirm.Within, o.typed(confirmCommand(key)))
	return g.run(ctx)
}

func (o *EnforceOptions) newGuard(ctx context.Context, key policy.Key) (*trialGuard, error) {
	store, err := o.Store()
	if err != nil {
		return nil, err
	}
	why, err := o.unguarded(ctx)
	return &trialGuard{opts: o, store: store, key: key, start: o.Confirm.began, others: why == "" && err == nil}, nil
}

// read finds the trial that this command began, if it is on.
func (g *trialGuard) read(ctx context.Context) error {
	u, err := g.store.Get(ctx, g.key)
	if err == nil {
		g.know(stage.TrialOf(u))
	}
	return err
}

// know notes the trial that this command began: its end, to the nanosecond, tells it
// from all others.
func (g *trialGuard) know(p *policy.Policy) {
	within := g.opts.Confirm.Within
	if id, ok := stage.TrialIDOf(p); ok && g.id == (stage.TrialID{}) && id.Within == within && id.By.Equal(g.start.Add(within)) {
		g.id = id
	}
}

func (g *trialGuard) run(ctx context.Context) error {
	for {
		done, err := g.look(ctx)
		switch {
		case done || errors.Is(err, cli.ErrNo):
			return err
		case ctx.Err() != nil:
			return g.interrupted(ctx)
		case err != nil && !g.unreached:
			g.unreached = true
			g.opts.IO.ErrPrinter().Printf("warning: it can't be looked at, and is tried again: %s\n", firstLine(err.Error()))
		case err == nil:
			g.unreached = false
		}
		if err == nil && g.left() <= 0 {
			if done, err := g.takeBack(ctx, g.because(stage.RevertDeadline)); done {
				return g.reverted()
			} else if err != nil && ctx.Err() == nil && !g.unreached {
				g.unreached = true
				g.opts.IO.ErrPrinter().Printf("warning: it can't be taken back yet, and is tried again: %s\n", firstLine(err.Error()))
			}
		}
		g.wait(ctx)
	}
}

// because is a revert by this command.
func (g *trialGuard) because(why stage.RevertReason) stage.Revert {
	by := ""
	if g.opts.Author != nil {
		by = g.opts.Author().User
	}
	return stage.NewRevert(why, by, g.opts.Now())
}

// takeBack ends the trial, and says so if history will not know why.
func (g *trialGuard) takeBack(ctx context.Context, why stage.Revert) (done bool, err error) {
	done, err = cluster.TakeBack(ctx, g.store, g.id, why)
	if done && err != nil {
		g.opts.EditOptions.noHistory(err)
		err = nil
	}
	return done, err
}

// left is how long the trial lasts, by a clock that nobody sets.
func (g *trialGuard) left() time.Duration { return g.opts.Confirm.Within - g.opts.Now().Sub(g.start) }

func (g *trialGuard) wait(ctx context.Context) {
	d := guardEvery
	if left := g.left(); left > 0 {
		d = min(d, left)
	}
	if g.opts.Confirm.pause != nil {
		g.opts.Confirm.pause(ctx, d)
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// look says whether the trial has ended by somebody else's doing.
func (g *trialGuard) look(ctx context.Context) (done bool, err error) {
	u, err := g.store.Get(ctx, g.key)
	switch {
	case errors.Is(err, cluster.ErrNotFound):
		return true, g.reverted()
	case err != nil:
		return false, err
	}
	p := stage.TrialOf(u)
	g.know(p)
	id, ok := stage.TrialIDOf(p)
	e := g.opts.IO.ErrPrinter()
	switch {
	case ok && id == g.id:
		return g.early(ctx, u, p)
	case stage.Reverted(u) != 0 && (g.id.Revision == 0 || g.id.Revision == stage.Reverted(u)):
		return true, g.reverted()
	case ok:
		e.Printf("%s was enforced again meanwhile, as revision %d; this trial is over\n", g.key, id.Revision)
	default:
		e.Printf("%s is confirmed\n", g.key)
	}
	return true, nil
}

// reverted is the answer where nobody confirmed.
func (g *trialGuard) reverted() error {
	return cli.Refuse("nobody confirmed "+g.key.String()+" in time: what was enforced before is enforced again", nil,
		"netpol report, then netpol enforce "+g.key.Name+" --confirm-within again")
}

// interrupted leaves the trial to the agents, or ends it where there are none.
func (g *trialGuard) interrupted(ctx context.Context) error {
	e := g.opts.IO.ErrPrinter()
	if g.others {
		e.Printf("interrupted: agents go back in %s unless you keep it: %s\n", roundTime(max(g.left(), 0)), confirmCommand(g.key))
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), guardLimit)
	defer cancel()
	var done bool
	err := g.read(ctx)
	if err == nil && g.id != (stage.TrialID{}) {
		done, err = g.takeBack(ctx, g.because(stage.RevertInterrupted))
	}
	switch {
	case errors.Is(err, cluster.ErrNotFound): // it is taken back
	case err != nil:
		return &cli.Error{What: "interrupted, and " + g.key.String() + " could not be taken back: it stays enforced, and nobody guards it",
			Where: []string{err.Error()}, Try: "netpol delete, or netpol enforce what was before", Err: errors.Join(context.Canceled, err)}
	case done:
		e.Printf("interrupted: nobody else guards it, so what was enforced before is enforced again\n")
	}
	return context.Canceled
}
