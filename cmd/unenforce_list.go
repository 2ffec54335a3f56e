package cmd

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// demotions are what is to be staged, and the bridges of a run that was
// interrupted. What that run was done with is staged already, and left out.
func (o *UnenforceOptions) demotions(ctx context.Context, w *world) ([]promotion, error) {
	var done []error
	keys, err := o.keys(ctx, w, stageableKinds, func(name string) (policy.Key, error) {
		key, err := w.enforced(name, o.Namespace)
		if err == nil {
			return key, nil
		}
		if _, other := w.staged(name, o.Namespace); other != nil {
			return key, err
		}
		done = append(done, err)
		return policy.Key{}, nil
	})
	if err != nil {
		return nil, err
	}
	staged, err := o.keys(ctx, w, stagedKinds, func(name string) (policy.Key, error) {
		key, err := w.staged(name, o.Namespace)
		if err != nil {
			return policy.Key{}, nil //nolint:nilerr // it is enforced alone
		}
		return key, nil
	})
	if err != nil {
		return nil, err
	}
	var list []promotion
	for _, key := range keys {
		one, err := w.demotion(ctx, key)
		if err != nil {
			return nil, err
		}
		list = append(list, *one)
		staged = append(staged, one.policy.Key)
	}
	left, err := o.leftovers(ctx, w, staged, "unenforce")
	switch {
	case err != nil:
		return nil, err
	case len(list)+len(left) == 0 && len(done) > 0:
		return nil, done[0]
	case len(list)+len(left) == 0:
		if err := o.known(w); err != nil {
			return nil, err
		}
		return nil, &cli.Error{What: "no enforced policy is meant by that", Try: "netpol get policies"}
	}
	if o.Format == output.Text {
		for _, e := range done {
			o.IO.ErrPrinter().Printf("note: %s\n", firstLine(e.Error()))
		}
	}
	return append(list, left...), nil
}

// enforced finds an enforced policy, and says so if it is staged alone.
func (w *world) enforced(name, namespace string) (policy.Key, error) {
	key, err := w.find("policy", enforcedKinds, name, namespace)
	if err == nil {
		return key, nil
	}
	if staged, other := w.find("staged policy", stagedKinds, name, namespace); other == nil {
		return key, &cli.Error{What: fmt.Sprintf("%s is staged, and nothing of that name is enforced", staged), Try: "netpol get policies", Err: err}
	}
	return key, err
}

// demotion is an enforced policy that is to be a staged one: to what is in force
// that is its deletion.
func (w *world) demotion(ctx context.Context, key policy.Key) (*promotion, error) {
	u, err := w.store.Get(ctx, key)
	if err != nil {
		return nil, changeError(err)
	}
	edits, err := stage.Unenforce(u)
	if err != nil {
		return nil, stageError(err)
	}
	twin := cluster.KeyOf(edits[0].Object)
	kept := slices.Contains(w.keys, twin)
	if kept {
		// After a stop half-way the copy is there, and after a rollback.
		if !sameStaged(ctx, w, twin, edits[0].Object) {
			return nil, &cli.Error{What: fmt.Sprintf("%s exists already and says something else", twin), Try: "netpol unstage " + key.Name + ", then the same command again"}
		}
	}
	gone, err := stage.Stage(u, policy.StagedDelete)
	if err != nil {
		return nil, stageError(err)
	}
	p, err := policyOf(gone)
	if err != nil {
		return nil, err
	}
	return &promotion{policy: p, enforced: u, edits: edits, kept: kept}, nil
}

func sameStaged(ctx context.Context, w *world, key policy.Key, want *unstructured.Unstructured) bool {
	have, err := w.store.Get(ctx, key)
	return err == nil && stage.SameSpec(have, want)
}
