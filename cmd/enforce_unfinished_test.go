package cmd

import (
	"context"
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// afterwards is a store in which something happens right after the first change,
// whose outcome may get lost.
type afterwards struct {
	*cluster.Dir
	then func() error
	down int // how many reads fail then
	done bool
}

func (a *afterwards) Change(ctx context.Context, changes []cluster.Change, dryRun bool) ([]cluster.Result, error) {
	r, err := a.Dir.Change(ctx, changes, dryRun)
	if err != nil || a.done {
		return r, err
	}
	a.done = true
	return r, a.then()
}

func (a *afterwards) Get(ctx context.Context, key policy.Key) (*unstructured.Unstructured, error) {
	if a.done && a.down > 0 {
		a.down--
		return nil, errors.New("the API server can't be reached")
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return a.Dir.Get(ctx, key)
}

// What is written is guarded, whatever happens between writing it and the guard's
// first look: nothing stays in force that nobody ends.
func TestGuardFromTheVeryBeginning(t *testing.T) {
	for name, tc := range map[string]struct {
		lost      bool // the answer to the change
		interrupt bool
		down      int
		code      int
		says      string
	}{
		"the answer gets lost":               {lost: true, code: cli.ExitFailed, says: "nobody else guards it, so what was enforced before is enforced again"},
		"interrupted while it is written":    {lost: true, interrupt: true, code: cli.ExitInterrupted, says: "nobody else guards it, so what was enforced before is enforced again"},
		"interrupted once it is written":     {interrupt: true, code: cli.ExitInterrupted, says: "interrupted: nobody else guards it, so what was enforced before is enforced again"},
		"the API is away for the first look": {down: 3, code: cli.ExitNo, says: "it can't be looked at, and is tried again"},
	} {
		t.Run(name, func(t *testing.T) {
			d := stagedDir(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			opts, text := guarded(t, d, true, nil)
			store := &afterwards{Dir: d, down: tc.down, then: func() error {
				if tc.interrupt {
					cancel()
				}
				if !tc.lost {
					return nil
				}
				return errors.Join(errors.New("the connection is gone"), ctx.Err())
			}}
			opts.Store = func() (cluster.Store, error) { return store, nil }
			err := enforceRun(ctx, opts)
			if cli.Code(err) != tc.code || !strings.Contains(text.String(), tc.says) {
				t.Errorf("got %v (%d) and %s", err, cli.Code(err), text)
			}
			if got := thereIs(t, d); got != bothThere {
				t.Errorf("there is %s", got)
			}
		})
	}
}

// Confirmed before the guard has looked once: that is the end of it, and a yes.
func TestGuardOfWhatIsConfirmedAtOnce(t *testing.T) {
	d := stagedDir(t)
	opts, text := guarded(t, d, true, nil)
	store := &afterwards{Dir: d, then: func() error {
		c := &ConfirmOptions{Name: "default-deny", EditOptions: opts.EditOptions}
		c.Wait, c.Store = waitFlags{}, func() (cluster.Store, error) { return d, nil }
		return confirmRun(t.Context(), c)
	}}
	opts.Store = func() (cluster.Store, error) { return store, nil }
	if err := enforceRun(t.Context(), opts); err != nil || !strings.Contains(text.String(), "GlobalNetworkPolicy default-deny is confirmed") {
		t.Errorf("got %v and %s", err, text)
	}
	if got := thereIs(t, d); got != "GlobalNetworkPolicy default-deny" {
		t.Errorf("there is %s", got)
	}
}

// A change that was not written leaves nothing to take back.
func TestNothingWrittenIsNothingUnfinished(t *testing.T) {
	d := stagedDir(t)
	opts, text := guarded(t, d, true, nil)
	opts.Store = func() (cluster.Store, error) { return refusing{d}, nil }
	err := enforceRun(t.Context(), opts)
	if cli.Code(err) != cli.ExitFailed || !strings.Contains(err.Error(), "the disk is full") || strings.Contains(text.String(), "guard") {
		t.Errorf("got %v and %s", err, text)
	}
}

// refusing is a store that takes no change.
type refusing struct{ *cluster.Dir }

func (refusing) Change(context.Context, []cluster.Change, bool) ([]cluster.Result, error) {
	return nil, errors.New("the disk is full")
}
