package cmd

import (
	"context"
	"errors"
	"slices"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// stagedOf finds staged policies by name. What is enforced already is left out
// beside others that are not: a run that was interrupted was done with it.
func (o *EnforceOptions) stagedOf(w *world) func(string) (policy.Key, error) {
	return func(name string) (policy.Key, error) {
		key, err := w.staged(name, o.Namespace)
		if err == nil {
			return key, nil
		}
		done, other := w.find("policy", enforcedKinds, name, o.Namespace)
		if other != nil || !slices.ContainsFunc(o.Names, func(n string) bool { _, err := w.staged(n, o.Namespace); return err == nil }) {
			return key, err
		}
		if o.Format == output.Text {
			o.IO.ErrPrinter().Printf("note: %s is enforced already, and nothing of that name is staged\n", done)
		}
		return policy.Key{}, nil
	}
}

// promotions are what is to be enforced.
func (o *EnforceOptions) promotions(ctx context.Context, w *world, keys []policy.Key) ([]promotion, error) {
	var out []promotion
	for _, key := range keys {
		p := w.snap.Policy(key)
		if p == nil {
			return nil, &cli.Error{What: key.String() + " has faults and can't be enforced", Try: "netpol get staged"}
		}
		if len(o.Names) == 0 && p.StagedAction == policy.StagedIgnore {
			continue
		}
		if _, err := w.tier(p.Tier); err != nil {
			return nil, err
		}
		staged, err := w.store.Get(ctx, key)
		if err != nil {
			return nil, err
		}
		twin, _ := stage.Twin(key)
		enforced, err := w.optional(ctx, twin)
		if err != nil {
			return nil, err
		}
		edits, err := stage.Enforce(staged, enforced)
		if err != nil {
			return nil, enforceError(err, key.Name)
		}
		out = append(out, promotion{policy: p, staged: staged, enforced: enforced, edits: edits})
	}
	if len(out) == 0 {
		if err := o.known(w); err != nil {
			return nil, err
		}
		return nil, &cli.Error{What: "no staged policy is meant by that", Try: "netpol get staged"}
	}
	return out, nil
}

func enforceError(err error, name string) error {
	switch {
	case errors.Is(err, stage.ErrIgnored):
		return &cli.Error{What: err.Error(), Try: "set spec.stagedAction to Set", Err: err}
	case errors.Is(err, stage.ErrNothingToDelete):
		return &cli.Error{What: err.Error(), Try: "netpol unstage " + name, Err: err}
	}
	return err
}

// promoteSteps are the changes of promotions: what is enforced, as planned, and
// then what was staged goes.
func promoteSteps(plan stage.Plan, list []promotion) ([]editStep, map[policy.Key]string) {
	words := map[policy.Key]string{}
	var gone []cluster.Change
	for i := range list {
		changes := stageEdits(list[i].edits)
		key := keyOfChange(changes[0])
		words[key], words[list[i].policy.Key] = "enforced", silent
		if changes[0].Object == nil {
			words[key] = "deleted"
		}
		gone = append(gone, changes[1:]...)
	}
	steps := stepsOf(plan, list, func(p *promotion) cluster.Change { return stageEdits(p.edits)[0] }, words)
	if len(gone) > 0 {
		steps = append(steps, editStep{changes: gone, silent: true})
	}
	return steps, words
}

func wasWere(n int64) string {
	if n == 1 {
		return "was"
	}
	return "were"
}
