package cmd

import (
	"bytes"
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
)

// watchPace is how often a report that is watched is made anew: not before least
// after the last was done, nor before five times what that took; and after idle
// though nothing seems to have changed, since time goes on.
type watchPace struct{ least, idle time.Duration }

func defaultPace() watchPace { return watchPace{least: 2 * time.Second, idle: 30 * time.Second} }

// reportWatch makes the report anew as policies and flows change, until ctx ends.
func reportWatch(ctx context.Context, opts *ReportOptions) error {
	f := opts.Factory
	store, err := f.Store()
	if err != nil {
		return err
	}
	source, err := opts.Source.open(ctx, f)
	if err != nil {
		return err
	}
	opts.Source.kept = source
	namespaces, err := namespacesOf(f)
	if err != nil {
		return err
	}
	changed := make(chan struct{}, 1)
	poke := func() {
		select {
		case changed <- struct{}{}:
		default: // it will be seen anyway
		}
	}
	g, inner := errgroup.WithContext(ctx)
	if server, ok := store.(cluster.Server); ok {
		known := remember(server)
		quiet := *f
		quiet.Store = func() (cluster.Store, error) { return known, nil }
		opts.Factory = &quiet
		g.Go(func() error { return known.watch(inner, poke) })
	} else {
		g.Go(func() error { return watchPolicies(inner, store, poke) })
	}
	g.Go(func() error {
		return opts.followOn(inner, source, flow.Filter{Namespaces: namespaces, Since: f.Now()}, poke)
	})
	g.Go(func() error { return opts.redraw(inner, changed) })
	err = g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// followOn tells of flows. What breaks off is taken up again a little later: the
// report itself says what is wrong.
func (o *ReportOptions) followOn(ctx context.Context, source flow.Source, filter flow.Filter, poke func()) error {
	for {
		_ = source.Follow(ctx, filter, func(flow.Flow) error {
			poke()
			return nil
		})
		if err := wait(ctx, againAfter, nil); err != nil {
			return err
		}
		poke()
	}
}

// againAfter is how long after a failure the next attempt is made.
const againAfter = 5 * time.Second

// watchPolicies tells of changes of resources.
func watchPolicies(ctx context.Context, store cluster.Store, poke func()) error {
	states, err := store.Watch(ctx)
	if err != nil {
		return err
	}
	for range states {
		poke()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.New("the resources are not watched any more")
}

// redraw shows a report at once, and whenever something has changed.
func (o *ReportOptions) redraw(ctx context.Context, changed <-chan struct{}) error {
	// What goes to stderr is the same again and again.
	var errs bytes.Buffer
	quiet, streams := *o.Factory, *o.Factory.IO
	streams.Err, quiet.IO = &errs, &streams
	again := *o
	again.Factory = &quiet
	screen := &screen{opts: &again, errs: o.Factory.IO.Err}
	for {
		began := time.Now()
		errs.Reset()
		doc, err := readReport(ctx, &again)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && screen.last == nil:
			return err
		case err != nil: // it may pass
			cli.Report(&errs, err)
			doc = screen.last
		}
		if err := screen.show(doc, errs.String()); err != nil {
			return err
		}
		if err != nil {
			if err := wait(ctx, againAfter, nil); err != nil {
				return err
			}
			continue
		}
		if err := wait(ctx, max(o.pace.least, 5*time.Since(began)), nil); err != nil {
			return err
		}
		if err := wait(ctx, o.pace.idle, changed); err != nil {
			return err
		}
	}
}

// wait waits for some time, or for a change.
func wait(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
	case <-changed:
	}
	return nil
}

// watchable refuses what can't be watched.
func (o *ReportOptions) watchable() error {
	const try = "netpol report --watch"
	switch {
	case o.ExitCode != "":
		return cli.Usage(try, "--watch ends by Ctrl-C, so --exit-code says nothing with it")
	case o.Source.isFile():
		return cli.Usage("netpol report --flows "+o.Source.From, "--watch: flows in a file do not change; leave --flows out, or give a server of flows")
	case o.Format != output.Text && o.Format != output.Wide && !o.Format.Structured():
		return cli.Usage(try+" -o json", "--watch and -o %s can't be given together", o.Format)
	}
	return nil
}
