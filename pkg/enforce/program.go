//go:build linux

package enforce

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/enforce/nft"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// syncRequest asks the programming loop to reload and program now. Nothing else is
// programmed while it reloads, so that ends with who asked.
type syncRequest struct {
	ctx  context.Context
	done chan error
}

// retryAfter is how long a refused ruleset waits before it is tried again.
const retryAfter = time.Second

// program is the loop that keeps the kernel at the latest snapshot. It alone
// writes the rules, so that revisions are in order.
func (a *Agent) program(ctx context.Context, states <-chan cluster.State, where <-chan *places) error {
	removed := a.watchKernel(ctx)
	var loose, retry <-chan time.Time
	var state cluster.State
	repair := false // until it is done: a retry by difference would change nothing
	for {
		var answer chan error
		select {
		case <-ctx.Done():
			return nil
		case s, ok := <-states:
			if !ok {
				// Its context is the parent of ours and ends a moment earlier.
				pause(ctx, time.Second)
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("the watch of resources ended")
			}
			same := !a.differs(state, s)
			state = s
			if same {
				a.current.set(s)
				continue
			}
			a.newsAt(a.opts.Now())
		case p := <-where:
			a.places.Store(p)
		case <-removed:
			repair = true
		case <-a.announced.news:
		case <-retry:
		case <-a.trials.next.C:
			if !a.trials.came() {
				continue
			}
		case <-loose:
			if !a.loose.Swap(false) {
				continue
			}
		case r := <-a.syncs:
			answer = r.done
			a.begins()
			s, err := a.opts.Source.Reload(r.ctx)
			a.ends()
			if err != nil {
				answer <- err
				continue
			}
			state = s
			a.look()
		}
		retry = nil
		a.begins()
		err := a.bring(ctx, state, repair)
		a.ends()
		if err != nil {
			a.opts.Log.Error("rules not programmed; the former ones stay in force", "error", err)
			retry = time.After(retryAfter)
		} else {
			repair = false
		}
		if loose == nil && !a.looseUntil.IsZero() {
			loose = time.After(a.looseUntil.Sub(a.opts.Now()))
		}
		if answer != nil {
			answer <- err
		}
	}
}

// look reads the places now: who asks for a Sync may have joined a pod whose
// event has not come yet. What can't be read stays as it was told last.
func (a *Agent) look() {
	p, err := a.finder().read()
	if err != nil {
		a.opts.Log.Warn("reading interfaces and routes", "error", err)
		return
	}
	a.places.Store(p)
}

// bring programs one state. S31: before there is a snapshot and the node's
// routing is known, nothing is touched; nor is it by a restarted agent while
// part of the source can't be understood, since the agent before may have
// known a policy there.
func (a *Agent) bring(ctx context.Context, state cluster.State, repair bool) error {
	if state.Snapshot == nil || a.places.Load() == nil {
		return nil
	}
	start, given := time.Now(), state
	prev, had := a.history.latest()
	if !had {
		a.announced.check(state.Snapshot, a.places.Load())
	}
	state.Snapshot = a.trials.apply(a.announced.apply(state.Snapshot, a.opts.Node, a.opts.Now()))
	if !had && a.waits(state) {
		return nil
	}
	next := revision{from: a.opts.Now()}
	if had && prev.model.Snapshot() == state.Snapshot {
		next.model = prev.model
	} else {
		next.model = tier.New(state.Snapshot, prev.model)
	}
	if !a.nodes.Load().of(state.Snapshot.Nodes) {
		a.nodes.Store(nameNodes(state.Snapshot.Nodes, a.opts.Node))
	}
	local, problems := a.localEndpoints(next.model)
	var err error
	next.compiled, err = ruleset.Compile(ruleset.Input{
		Model: next.model, Scope: tier.Enforced(), Local: local, Config: a.rulesetConfig(state.Snapshot, local),
	}, prev.compiled)
	switch {
	case err != nil:
	case had:
		err = a.forgetFormer(ctx, prev.model, next.model)
	default:
		err = a.hear()
	}
	if err == nil {
		a.history.begin(next)
		if repair {
			err = a.kernel.Resync(ctx, next.compiled.Ruleset)
		} else {
			err = a.kernel.Apply(ctx, next.compiled.Ruleset)
		}
	}
	a.behind.Store(err != nil)
	if err != nil {
		err = errors.Join(err, a.undo(had))
		a.setProblems(state.Faults, append(problems, "rules not programmed: "+err.Error())...)
		return err
	}
	if !a.services.Load().of(state.Snapshot.Services) {
		a.services.Store(indexServices(state.Snapshot.Services))
	}
	a.setNames.Store(flow.NewSetNames(state.Snapshot.NetworkSets, a.setNames.Load()))
	next.since = a.opts.Now()
	a.history.add(next)
	a.lagSince.Store(0)
	a.local.Store(&local)
	a.flows.Staged(state.Snapshot, next.since)
	a.current.set(given)
	a.setProblems(state.Faults, problems...)
	a.counters.lastProgram.Store(int64(time.Since(start)))
	if !had {
		a.firstCommit = next.since
		if a.loose.Load() {
			a.looseUntil = next.since.Add(a.opts.looseFor)
		}
		close(a.programmed)
	}
	if !had || next.model != prev.model { // at first for what the agent before had cut
		a.judgeAgain()
	}
	return nil
}

// undo takes back what was begun for rules that the kernel did not take.
func (a *Agent) undo(had bool) error {
	a.history.abandon()
	if had {
		return nil
	}
	return a.deafen()
}

// waits says whether the rules of the agent before must stay: where there is
// something of which not even the kind is known.
func (a *Agent) waits(state cluster.State) bool {
	if !a.kernel.Adopted() || !slices.ContainsFunc(state.Faults, func(f policy.Fault) bool { return f.Key.Kind == "" }) {
		return false
	}
	a.setProblems(state.Faults, "the rules of the agent before stay in force until what can't be understood is mended or removed: it may be a policy")
	return true
}

// judgeAgain has the live connections judged by the model in force (S29).
func (a *Agent) judgeAgain() {
	select {
	case a.cuts <- struct{}{}:
	default: // a pass is due already
	}
}

// watchKernel signals when somebody else removed or changed our table.
func (a *Agent) watchKernel(ctx context.Context) <-chan struct{} {
	out := make(chan struct{}, 1)
	go func() {
		for ctx.Err() == nil {
			err := a.kernel.Watch(ctx, func(nft.Event) {
				a.counters.repairs.Add(1)
				select {
				case out <- struct{}{}:
				default:
				}
			})
			if err != nil && ctx.Err() == nil {
				a.opts.Log.Warn("watching the kernel's rules", "error", err)
				pause(ctx, time.Second)
			}
		}
	}()
	return out
}
