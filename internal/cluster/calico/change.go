package calico

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrForeign: something else makes this policy and its name.
	ErrForeign = errors.New("it belongs to something else")
	// ErrNoTiers: this version of Calico has no tiers.
	ErrNoTiers = errors.New("this version of Calico has tier default alone")
	// ErrBoth: a move stopped half-way, and both are in force.
	ErrBoth = errors.New("both are in force")
)

// step is what one change becomes in the API.
type step struct {
	// change is all of it, but for a move.
	change cluster.Change
	moves  []cluster.Change
	// shown is what users call the policy; the zero Key: as the API does.
	shown policy.Key
}

// Change implements cluster.Store.
func (s *named) Change(ctx context.Context, changes []cluster.Change, dryRun bool) ([]cluster.Result, error) {
	return s.changeBy(ctx, changes, dryRun, func(ctx context.Context, changes []cluster.Change) ([]cluster.Result, error) {
		return s.Store.Change(ctx, changes, dryRun)
	})
}

// ChangeWith implements cluster.Server.
func (s *namedServer) ChangeWith(ctx context.Context, changes []cluster.Change, opts cluster.ChangeOptions) ([]cluster.Result, error) {
	return s.changeBy(ctx, changes, opts.DryRun != cluster.NoDryRun, func(ctx context.Context, changes []cluster.Change) ([]cluster.Result, error) {
		return s.server.ChangeWith(ctx, changes, opts)
	})
}

// write hands changes on to the store below.
type write func(context.Context, []cluster.Change) ([]cluster.Result, error)

// changeBy carries out changes. What is no move is handed on together, so that
// the store below can do it at once.
func (s *named) changeBy(ctx context.Context, changes []cluster.Change, dryRun bool, do write) ([]cluster.Result, error) {
	t, err := s.lookup(ctx)
	if err != nil {
		return nil, err
	}
	var steps []step
	for _, c := range changes {
		st, err := s.plan(t, c, dryRun)
		if err != nil {
			return nil, err
		}
		steps = append(steps, st)
	}
	if !dryRun {
		defer s.forget()
		if err := s.try(ctx, steps); err != nil {
			return nil, err
		}
	}
	var results []cluster.Result
	for i := 0; i < len(steps); {
		if steps[i].moves != nil {
			r, err := move(ctx, steps[i], do)
			if err != nil {
				return results, err
			}
			results = append(results, r)
			i++
			continue
		}
		var batch []cluster.Change
		first := i
		for ; i < len(steps) && steps[i].moves == nil; i++ {
			batch = append(batch, steps[i].change)
		}
		rs, err := do(ctx, batch)
		for j := range rs {
			if st := steps[first+j]; st.shown != (policy.Key{}) {
				rs[j].Key = st.shown
			}
		}
		results = append(results, rs...)
		if err != nil {
			return results, err
		}
	}
	return results, nil
}

// try lets the server try moves before anything is written, so that a missing
// right to delete is known while there is one policy.
func (s *named) try(ctx context.Context, steps []step) error {
	server, ok := s.Store.(cluster.Server)
	if !ok {
		return nil
	}
	for _, st := range steps {
		if st.moves == nil {
			continue
		}
		if _, err := server.ChangeWith(ctx, st.moves[:2], cluster.ChangeOptions{DryRun: cluster.DryRunServer}); err != nil {
			return err
		}
	}
	return nil
}

// plan finds what a change means in the API.
func (s *named) plan(t *table, c cluster.Change, dryRun bool) (step, error) {
	key := c.Delete
	if c.Object != nil {
		key = cluster.KeyOf(c.Object)
	}
	if !hasTierName(key.Kind) {
		if s.naming == NoTiers && key.Kind == policy.KindTier && c.Object != nil {
			return step{}, s.noTiers(key.String())
		}
		return step{change: c}, nil
	}
	if err := foreign(key); err != nil {
		return step{}, err
	}
	if c.Object == nil {
		if m, ok := t.find(key, ""); ok {
			c.Delete = m.key
		}
		return step{change: c, shown: key}, nil
	}
	target := tierOf(c.Object)
	if s.naming == NoTiers && target != tier.DefaultTier {
		return step{}, s.noTiers(fmt.Sprintf("%s: spec.tier is %q", key, target))
	}
	old, exists := t.find(key, target)
	if !exists {
		api := s.naming.apiName(short(key.Name, target), target)
		shown := key
		shown.Name = short(key.Name, target)
		return step{change: cluster.Change{Object: renameObject(c.Object, api), IfAbsent: c.IfAbsent}, shown: shown}, nil
	}
	shown := t.Shown(old.key)
	inPlace := old.tier == target || s.naming == Free && short(old.key.Name, old.tier) == old.key.Name
	if inPlace {
		return step{change: cluster.Change{Object: renameObject(c.Object, old.key.Name), IfAbsent: c.IfAbsent}, shown: shown}, nil
	}
	if c.IfAbsent {
		return step{}, fmt.Errorf("%s: %w: it exists already, in tier %s", shown, cluster.ErrConflict, old.tier)
	}
	fresh := copyFor(c.Object, s.naming.apiName(short(old.key.Name, old.tier), target))
	if other, taken := t.find(cluster.KeyOf(fresh), ""); taken && other.key != old.key {
		return step{}, fmt.Errorf("%s: %w: tier %s has a policy of that name already", shown, cluster.ErrConflict, target)
	}
	shown.Name = short(old.key.Name, old.tier)
	return step{moves: moves(old.key, fresh, dryRun), shown: shown}, nil
}

// noTiers is the error of what needs a tier where there are none.
func (s *named) noTiers(what string) error {
	return &cluster.Failure{What: what + ": " + ErrNoTiers.Error(), Where: []string{"Calico is " + s.version.String() + "; tiers came with v3.29"},
		Try: "tier default, with spec.order before and after others; or upgrade Calico", Err: ErrNoTiers}
}

// tierOf is the tier that an object says.
func tierOf(u *unstructured.Unstructured) string {
	if t, _, _ := unstructured.NestedString(u.Object, "spec", "tier"); t != "" {
		return t
	}
	return tier.DefaultTier
}
