package cmd

import (
	"context"
	"slices"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// plan is how promotions are made; one after the other where nothing was judged
// before.
func (g *gate) plan(list []promotion) stage.Plan {
	if g.report != nil && len(g.report.Plan().Steps) > 0 {
		return g.report.Plan()
	}
	var out stage.Plan
	for i := range list {
		out.Steps = append(out.Steps, stage.PlanStep{Promote: list[i].policy.Key})
	}
	return out
}

// stepsOf are the steps of a plan; change is what a promotion changes of what is
// enforced. Neighbours of one kind are one step, since agents see the changes of a
// kind in their order; but what is done to a bridge is one by itself, for it has to be
// there before it goes, and that it can go is tried first.
func stepsOf(plan stage.Plan, list []promotion, change func(*promotion) cluster.Change, words map[policy.Key]string) []editStep {
	var steps []editStep
	for _, s := range plan.Steps {
		var c cluster.Change
		switch {
		case s.Bridge != nil:
			c = cluster.Change{Object: withOwners(s.Bridge, list), IfAbsent: true}
			words[keyOfChange(c)] = silent
		case s.Unbridge != policy.Key{}:
			c = cluster.Change{Delete: s.Unbridge}
		default:
			i := slices.IndexFunc(list, func(p promotion) bool { return p.policy.Key == s.Promote })
			if i < 0 {
				continue
			}
			c = change(&list[i])
		}
		n, bridge, unbridge := len(steps), s.Bridge != nil, s.Unbridge != policy.Key{}
		if n > 0 && bridge == steps[n-1].bridge && !unbridge && !steps[n-1].unbridge && keyOfChange(steps[n-1].changes[0]).Kind == keyOfChange(c).Kind {
			steps[n-1].changes = append(steps[n-1].changes, c)
			continue
		}
		steps = append(steps, editStep{changes: []cluster.Change{c}, bridge: bridge, unbridge: unbridge})
	}
	steps[len(steps)-1].last = true
	return steps
}

// inTurn is changeInSteps where an agent watches a directory, for steps that it
// has to see one after the other.
func (o *EditOptions) inTurn(ctx context.Context, store cluster.Store, steps []editStep, words map[policy.Key]string) error {
	if err := o.Wait.check(o); err != nil {
		return err
	}
	var results []cluster.Result
	for i, st := range steps {
		changes, finish, err := o.record(ctx, store, st.changes)
		if err != nil {
			return halfway(changeError(err), results, steps[i:], 0)
		}
		done, err := store.Change(ctx, changes, false)
		results = append(results, done...)
		if err != nil {
			return halfway(changeError(err), results, steps[i:], len(done))
		}
		finish()
		if o.Wait.off() || st.silent {
			continue
		}
		if err := o.sync(ctx, true); err != nil {
			return halfway(err, results, steps[i:], len(st.changes))
		}
	}
	return o.tell(results, words)
}
