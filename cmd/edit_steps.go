package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// editStep is a part of a change that is to be in force before the next part is
// made.
type editStep struct {
	changes []cluster.Change
	// last: nothing that comes after it depends on its being in force everywhere,
	// so it is waited for as the flags say.
	last bool
	// silent: it is not waited for at all.
	silent bool
	// bridge: it makes a bridge, which has to be one that can be taken away again.
	bridge bool
	// unbridge: it takes a bridge away that an earlier step has made.
	unbridge bool
}

// changeInSteps is change for changes that agents must see one after the other:
// kinds are watched apart from each other, so on a cluster a step is in every
// node's kernel before the next is written. The server tries all of them first.
// A directory is changed at once: whoever reads it sees the changes of a file
// together.
func (o *EditOptions) changeInSteps(ctx context.Context, steps []editStep, words map[policy.Key]string) error {
	store, err := o.Store()
	if err != nil {
		return err
	}
	server, ok := store.(cluster.Server)
	switch {
	case !ok && bridged(steps) && !o.DryRun.on() && !o.Offline():
		return o.inTurn(ctx, store, steps, words)
	case !ok || o.DryRun.on():
		return o.change(ctx, withoutBridge(steps), words)
	}
	if err := o.Wait.check(o); err != nil {
		return err
	}
	if !o.Wait.off() {
		o.prepare(ctx)
	}
	if len(steps) > 1 {
		var all []cluster.Change
		for _, st := range steps {
			if !st.unbridge { // it is not there yet
				all = append(all, st.changes...)
			}
		}
		if _, err := server.ChangeWith(ctx, all, cluster.ChangeOptions{DryRun: cluster.DryRunServer, Force: o.ForceConflicts}); err != nil {
			return changeError(err)
		}
	}
	var results []cluster.Result
	for i, st := range steps {
		done, err := o.step(ctx, store, st)
		results = append(results, done...)
		if err != nil {
			return halfway(err, results, steps[i:], len(done))
		}
		if st.bridge {
			if err := o.removable(ctx, server, st.changes); err != nil {
				return halfway(err, results, steps[i+1:], 0)
			}
		}
	}
	return o.tell(results, words)
}

// step writes one step and returns when it is in force.
func (o *EditOptions) step(ctx context.Context, store cluster.Store, st editStep) ([]cluster.Result, error) {
	changes, finish, err := o.record(ctx, store, st.changes)
	if err != nil {
		return nil, changeError(err)
	}
	start := o.Now()
	results, err := o.write(ctx, store, changes)
	if err != nil {
		return results, changeError(err)
	}
	finish()
	if o.Wait.off() || st.silent {
		return results, nil
	}
	o.Wait.insist = !st.last
	return results, o.await(ctx, results, start, true)
}

// halfway is an error after some of the steps, with what was done and how to go
// on. left are the steps from the one that failed, made how much of it was done.
func halfway(err error, done []cluster.Result, left []editStep, made int) error {
	if len(done) == 0 {
		return err
	}
	e := &cli.Error{What: err.Error(), Err: err, Try: "the same command again: it goes on from here"}
	var typed *cli.Error
	if errors.As(err, &typed) {
		e.What, e.Where = typed.What, typed.Where
	}
	for _, r := range done {
		if r.Outcome == cluster.Deleted && stagedAlike(left, r.Key) {
			// Enforced again it would have nothing to delete.
			e.Try = "netpol unstage " + r.Key.Name + ", then the same command again: it goes on from here"
		}
		e.Where = append(e.Where, fmt.Sprintf("done: %s %s", r.Key, r.Outcome))
	}
	for i, st := range left {
		changes := st.changes
		if i == 0 {
			changes = changes[min(made, len(changes)):]
		}
		for _, c := range changes {
			verb := "written"
			if c.Object == nil {
				verb = "deleted"
			}
			e.Where = append(e.Where, fmt.Sprintf("not %s yet: %s", verb, keyOfChange(c)))
		}
	}
	return e
}

// stagedAlike says whether the staged twin of a policy is still to go.
func stagedAlike(left []editStep, key policy.Key) bool {
	twin, ok := stage.Twin(key)
	return ok && slices.ContainsFunc(left, func(st editStep) bool {
		return slices.ContainsFunc(st.changes, func(c cluster.Change) bool { return keyOfChange(c) == twin })
	})
}
