package cmd

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

const trialUntil = "2026-01-02T15:05:00Z"

var trialDB = policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "db"}

// confirming is netpol confirm db at a moment, of a policy that is on trial.
func confirming(t *testing.T, now time.Time) (*ConfirmOptions, *cluster.Dir, string) {
	t.Helper()
	root := t.TempDir()
	file := filepath.Join(root, "db.yaml")
	text := `apiVersion: v1
kind: Namespace
metadata: {name: vote}
---
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: db
  namespace: vote
  annotations:
    netpol.dev/revision: "2"
    netpol.dev/confirm-by: "` + trialUntil + `"
    netpol.dev/confirm-within: 5m
    netpol.dev/previous: '{"selector":"app == ''old''"}'
spec: {selector: app == 'db'}
`
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := cluster.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	return &ConfirmOptions{Name: "db", Namespace: "vote", EditOptions: EditOptions{
		IO: &cli.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}, Now: func() time.Time { return now }, Format: output.Text,
		Store: func() (cluster.Store, error) { return d, nil }, Offline: func() bool { return true },
	}}, d, file
}

// A trial can be confirmed until its end, and not at it.
func TestConfirmAtTheVeryDeadline(t *testing.T) {
	by, err := time.Parse(time.RFC3339, trialUntil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		now  time.Time
		code int
	}{
		"a nanosecond before": {by.Add(-1), 0},
		"at its end":          {by, cli.ExitNo},
		"after it":            {by.Add(time.Second), cli.ExitNo},
	} {
		opts, _, file := confirming(t, tc.now)
		if err := confirmRun(t.Context(), opts); cli.Code(err) != tc.code {
			t.Errorf("%s: %v", name, err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if onTrial := strings.Contains(string(data), "confirm-by"); onTrial != (tc.code != 0) {
			t.Errorf("%s: there is %s", name, data)
		}
	}
}

// racing is a store in which an agent takes the policy back between reading and
// writing.
type racing struct {
	*cluster.Dir
	t    *testing.T
	once bool
}

func (r *racing) Change(ctx context.Context, changes []cluster.Change, dryRun bool) ([]cluster.Result, error) {
	if !r.once {
		r.once = true
		u, err := r.Get(ctx, trialDB)
		if err != nil {
			r.t.Fatal(err)
		}
		id, _ := stage.TrialIDOf(stage.TrialOf(u))
		other, err := cluster.OpenDir(r.Path())
		if err != nil {
			r.t.Fatal(err)
		}
		by := stage.NewRevert(stage.RevertDeadline, "agent on n3", id.By)
		if done, err := cluster.TakeBack(ctx, other, id, by); !done || err != nil {
			r.t.Fatal(done, err)
		}
	}
	return r.Dir.Change(ctx, changes, dryRun)
}

// An agent was faster: it is too late, and who it was is said.
func TestConfirmWhileAnAgentTakesItBack(t *testing.T) {
	by, err := time.Parse(time.RFC3339, trialUntil)
	if err != nil {
		t.Fatal(err)
	}
	opts, d, file := confirming(t, by.Add(-1))
	opts.Store = func() (cluster.Store, error) { return &racing{Dir: d, t: t}, nil }
	err = confirmRun(t.Context(), opts)
	if cli.Code(err) != cli.ExitNo || !strings.Contains(err.Error(), "revision 2 was taken back at "+trialUntil+" by agent on n3: nobody confirmed it in time") {
		t.Errorf("got %v", err)
	}
	data, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(data), "app == 'old'") {
		t.Errorf("there is %s, %v", data, err)
	}
}
