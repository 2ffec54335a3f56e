package cluster

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

const newOnTrial = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: db
  namespace: vote
  annotations:
    netpol.dev/revision: "4"
    netpol.dev/confirm-by: "2026-01-02T15:05:00Z"
    netpol.dev/confirm-within: 5m0s
    netpol.dev/previous: "null"
spec: {selector: app == 'db'}
`

// Of several that take the same policy back one does, and who it was is known
// although nothing is left of the policy.
func TestTakeBackNotesWhoDid(t *testing.T) {
	ctx, root := context.Background(), t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "db.yaml"), []byte(newOnTrial), 0o644); err != nil {
		t.Fatal(err)
	}
	key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "db"}
	var first, second *Dir
	for _, d := range []**Dir{&first, &second} {
		var err error
		if *d, err = OpenDir(root); err != nil {
			t.Fatal(err)
		}
	}
	u, err := first.Get(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	id, ok := stage.TrialIDOf(stage.TrialOf(u))
	if !ok {
		t.Fatal("it is not on trial")
	}
	at := time.Date(2026, 1, 2, 15, 5, 0, 0, time.UTC)
	if done, err := TakeBack(ctx, first, id, stage.NewRevert(stage.RevertDeadline, "agent on n1", at)); !done || err != nil {
		t.Fatalf("done %v, %v", done, err)
	}
	if done, err := TakeBack(ctx, second, id, stage.NewRevert(stage.RevertDeadline, "agent on n2", at)); done || err != nil {
		t.Errorf("the second one: done %v, %v", done, err)
	}
	list, err := Reverts(ctx, second)
	if err != nil || len(list) != 1 || list[0].Name != "db" || list[0].Revert.By != "agent on n1" || list[0].Revert.Revision != 4 {
		t.Errorf("reverts %+v, %v", list, err)
	}
}

// confirming is a store in which somebody confirms between reading and writing.
type confirming struct {
	*Dir
	t *testing.T
}

func (c confirming) Change(ctx context.Context, changes []Change, dryRun bool) ([]Result, error) {
	u, err := c.Get(ctx, KeyOf(object(c.t, newOnTrial)))
	if err != nil {
		c.t.Fatal(err)
	}
	edits, err := stage.Confirm(u, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	other, err := OpenDir(c.Path())
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := other.Change(ctx, []Change{{Object: edits[0].Object}}, false); err != nil {
		c.t.Fatal(err)
	}
	return c.Dir.Change(ctx, changes, dryRun)
}

// What was confirmed while an agent took it back stays, although there was no policy
// before: a deletion is of the trial, and not of whatever has its name.
func TestTakeBackLeavesWhatWasConfirmedMeanwhile(t *testing.T) {
	ctx, root := context.Background(), t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "db.yaml"), []byte(newOnTrial), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := stage.TrialIDOf(stage.TrialOf(object(t, newOnTrial)))
	done, err := TakeBack(ctx, confirming{d, t}, id, stage.NewRevert(stage.RevertDeadline, "agent on n1", time.Now()))
	if done || err != nil {
		t.Errorf("done %v, %v", done, err)
	}
	if u, err := d.Get(ctx, id.Key); err != nil || stage.TrialOf(u) != nil {
		t.Errorf("there is %v, %v", u, err)
	}
	if list, err := Reverts(ctx, d); err != nil || len(list) != 0 {
		t.Errorf("reverts %+v, %v", list, err)
	}
}
