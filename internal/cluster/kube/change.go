package kube

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

var _ cluster.Server = (*Store)(nil)

// Change is ChangeWith without force; dryRun is the client's.
func (s *Store) Change(ctx context.Context, changes []cluster.Change, dryRun bool) ([]cluster.Result, error) {
	opts := cluster.ChangeOptions{}
	if dryRun {
		opts.DryRun = cluster.DryRunClient
	}
	return s.ChangeWith(ctx, changes, opts)
}

// ChangeWith carries out the changes in order. Several are tried on the server
// before the first is written, so that a missing right, a conflict or what
// admission refuses is known while nothing has changed. If one fails after
// others were made, the error tells which.
//
// Objects are written by server-side apply. One that was read before (it has a
// resourceVersion) is an edit: only what differs is applied, and nothing if
// somebody else has changed it meanwhile. One without is applied as a whole,
// as kubectl apply --server-side does.
func (s *Store) ChangeWith(ctx context.Context, changes []cluster.Change, opts cluster.ChangeOptions) ([]cluster.Result, error) {
	if err := cluster.Validate(changes); err != nil {
		return nil, err
	}
	steps := make([]*step, len(changes))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, c := range changes {
		group.Go(func() (err error) {
			steps[i], err = s.plan(gctx, c, opts.Force)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	results := make([]cluster.Result, len(steps))
	if opts.DryRun == cluster.DryRunClient {
		for i, st := range steps {
			results[i] = st.expected()
		}
		return results, nil
	}
	if opts.DryRun == cluster.DryRunServer || len(steps) > 1 {
		if err := s.try(ctx, steps, results); err != nil || opts.DryRun == cluster.DryRunServer {
			return results, err
		}
	}
	defer s.forget()
	for i, st := range steps {
		r, err := st.do(ctx, false)
		if err != nil {
			return results[:i], partial(steps, results[:i], err)
		}
		results[i] = r
	}
	return results, nil
}

// try carries out the changes without lasting effect. What depends on an
// earlier change (a policy in a namespace that comes along) can't be tried.
func (s *Store) try(ctx context.Context, steps []*step, results []cluster.Result) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, st := range steps {
		group.Go(func() error {
			r, err := st.do(ctx, true)
			if err != nil && len(steps) > 1 && dependent(err) {
				r, err = st.expected(), nil
			}
			results[i] = r
			return err
		})
	}
	return group.Wait()
}

// dependent says whether an error may be due to the changes before not having
// been made, or to the trial itself.
func dependent(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) || errors.Is(err, cluster.ErrNotFound) && !errors.Is(err, errMissing)
}

// partial tells what was done before an error, and what was not.
func partial(steps []*step, done []cluster.Result, err error) error {
	if len(steps) == 1 {
		return err
	}
	f := &cluster.Failure{What: err.Error(), Err: err, Partly: len(done) > 0}
	if one := (*cluster.Failure)(nil); errors.As(err, &one) {
		f.What, f.Where, f.Try = one.What, one.Where, one.Try
	}
	for _, r := range done {
		f.Where = append(f.Where, fmt.Sprintf("done before: %s %s", r.Key, r.Outcome))
	}
	for _, st := range steps[len(done):] {
		f.Where = append(f.Where, "not done: "+st.key.String())
	}
	if errors.Is(err, context.Canceled) {
		f.What, f.Try = "interrupted", "the same again: what is done is not done twice"
	}
	return f
}

// errMissing: what was to be deleted is not there.
var errMissing = errors.New("it is not there")

// missing is the error for a resource that is not there.
func missing(key policy.Key) error {
	return because{fmt.Errorf("%s: %w", key, cluster.ErrNotFound), errMissing}
}
