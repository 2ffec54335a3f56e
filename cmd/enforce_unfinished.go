package cmd

import (
	"context"
	"errors"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// unfinished is what becomes of a trial whose writing ended in an error, or was
// interrupted: it may be written all the same, and nobody is on guard. It is the
// error.
func (o *EnforceOptions) unfinished(ctx context.Context, key policy.Key, failed error) error {
	if !o.guards() {
		return failed
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), guardLimit)
	defer cancel()
	g, err := o.newGuard(ctx, key)
	if err != nil {
		return failed
	}
	e := o.IO.ErrPrinter()
	done, err := false, g.read(ctx)
	switch {
	case errors.Is(err, cluster.ErrNotFound), err == nil && g.id == stage.TrialID{}:
		return failed // it was not written
	case err == nil && g.others:
		e.Printf("note: %s is on trial; agents go back in %s unless you keep it: %s\n", key, roundTime(max(g.left(), 0)), o.typed(confirmCommand(key)))
		return failed
	case err == nil:
		done, err = g.takeBack(ctx, g.because(stage.RevertInterrupted))
	}
	switch {
	case err != nil:
		e.Printf("warning: %s may be enforced, and nobody guards it: %s\n", key, firstLine(err.Error()))
	case done:
		e.Printf("note: %s was written, and nobody else guards it, so what was enforced before is enforced again\n", key)
	}
	return failed
}
