package cmd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// usualSource tells what was seen before a policy was staged, and what since.
type usualSource struct {
	before, since []flow.Flow
	until         time.Time // that was asked about
	coverage      flow.Coverage
	err           error
}

func (s *usualSource) List(_ context.Context, f flow.Filter) ([]flow.Flow, flow.Coverage, error) {
	if !f.Until.IsZero() {
		s.until = f.Until
		return s.before, s.coverage, nil
	}
	return s.since, s.coverage, s.err
}

func (s *usualSource) Follow(context.Context, flow.Filter, func(flow.Flow) error) error { return nil }

func seenFlow(from string, n int64, by policy.Hit) flow.Flow {
	peer := func(name string) flow.Peer {
		return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: "vote", Name: name}}
	}
	return flow.Flow{Key: flow.Key{Source: peer(from), Destination: peer("redis"), Protocol: policy.TCP, Port: 6379, Direction: policy.Egress, Enforced: by}, Connections: n}
}

var (
	allowedHit = policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	deniedHit  = policy.Hit{Tier: "default", Policy: denyKey, Rule: policy.EndOfTier, Action: policy.Deny}
)

const stagedAt = "2026-01-02T15:04:05Z"

// stagedSince is a directory with a default-deny that says when it was staged.
func stagedSince(t *testing.T) *cluster.Dir {
	t.Helper()
	root := t.TempDir()
	manifest := `apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: default-deny, creationTimestamp: "` + stagedAt + `"}
spec: {stagedAction: Set, namespaceSelector: kubernetes.io/metadata.name == 'vote', types: [Ingress, Egress]}
`
	if err := os.WriteFile(filepath.Join(root, "deny.yaml"), []byte(manifest), 0o644); err != nil {
		t.Fatal(err)
	}
	d, err := cluster.OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// ofPods is a flow of which the refused pods are told.
func ofPods(f flow.Flow, pods ...string) flow.Flow {
	for _, name := range pods {
		f.Refused = append(f.Refused, flow.RefusedPod{Name: name})
	}
	return f
}

func TestRollbackOnDeny(t *testing.T) {
	usual := []flow.Flow{seenFlow("vote", 10, allowedHit), seenFlow("worker", 10, allowedHit)}
	for name, tc := range map[string]struct {
		before, since []flow.Flow
		err           error
		early         bool
		says          string
	}{
		"two pods miss it": {before: usual, since: []flow.Flow{seenFlow("vote", 2, deniedHit), seenFlow("worker", 1, deniedHit)}, early: true,
			says: "3 connections of 2 pods that were usual before it was staged are refused"},
		"two pods of one workload": {before: usual, since: []flow.Flow{ofPods(seenFlow("vote", 3, deniedHit), "vote-1", "vote-2")}, early: true,
			says: "3 connections of 2 pods that were usual before it was staged are refused"},
		"one pod alone":           {before: usual, since: []flow.Flow{ofPods(seenFlow("vote", 1000, deniedHit), "vote-1")}, says: "nobody confirmed"},
		"too few":                 {before: usual, since: []flow.Flow{seenFlow("vote", 1, deniedHit), seenFlow("worker", 1, deniedHit)}, says: "nobody confirmed"},
		"one workload alone":      {before: usual, since: []flow.Flow{seenFlow("vote", 1000, deniedHit)}, says: "nobody confirmed"},
		"nothing of it was usual": {since: []flow.Flow{seenFlow("vote", 9, deniedHit), seenFlow("worker", 9, deniedHit)}, says: "nobody confirmed"},
		"flows can't be read":     {before: usual, err: errors.New("broken"), says: "nobody confirmed"},
	} {
		t.Run(name, func(t *testing.T) {
			d := stagedSince(t)
			opts, text := guarded(t, d, true, nil)
			opts.Author = func() stage.Author { return stage.Author{User: "mia"} }
			source := &usualSource{before: tc.before, since: tc.since, err: tc.err}
			opts.Confirm.Rollback = rollback{Denied: 3, Open: func(context.Context) (flow.Source, error) { return source, nil }}
			start := opts.Now()
			err := enforceRun(t.Context(), opts)
			if cli.Code(err) != cli.ExitNo || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v", err)
			}
			if early := opts.Now().Sub(start) < time.Minute; early != tc.early {
				t.Errorf("it went back after %s", opts.Now().Sub(start))
			}
			if want, _ := time.Parse(time.RFC3339, stagedAt); !source.until.Equal(want) {
				t.Errorf("usual is what was seen until %s", source.until)
			}
			if got := thereIs(t, d); got != bothThere {
				t.Errorf("there is %s", got)
			}
			if reverts, err := cluster.Reverts(t.Context(), d); err != nil || len(reverts) != 1 || (reverts[0].Revert.Reason == stage.RevertDenied) != tc.early ||
				tc.early && (reverts[0].Revert.Denied.Connections != 3 || reverts[0].Revert.Denied.Pods != 2 || reverts[0].Revert.By != "mia") {
				t.Errorf("audit: %+v, %v", reverts, err)
			}
			if tc.err != nil && strings.Count(text.String(), "flows can't be read") != 1 {
				t.Errorf("it says %s", text)
			}
		})
	}
}

// Since when a policy is staged decides what counts; where nobody knows, nothing
// is enforced.
func TestRollbackOnDenyNeedsToKnowWhenItWasStaged(t *testing.T) {
	since, _ := time.Parse(time.RFC3339, stagedAt)
	staged := policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: "default-deny"}
	for name, tc := range map[string]struct {
		coverage flow.Coverage
		code     int
	}{
		"nobody knows": {flow.Coverage{}, 2},
		"flows know":   {flow.Coverage{Policies: []flow.PolicySince{{Key: staged, Since: since}}}, 1},
	} {
		opts, _ := guarded(t, stagedDir(t), true, nil)
		source := &usualSource{coverage: tc.coverage}
		opts.Confirm.Rollback = rollback{Denied: 3, Open: func(context.Context) (flow.Source, error) { return source, nil }}
		if err := enforceRun(t.Context(), opts); cli.Code(err) != tc.code || tc.code == 2 && !strings.Contains(err.Error(), "is not known here") {
			t.Errorf("%s: %v", name, err)
		}
		if tc.code == 1 && !source.until.Equal(since) {
			t.Errorf("%s: until %s", name, source.until)
		}
	}
}

// Beside Calico the flows are Goldmane's, and an error of theirs is told as such.
func TestRollbackOnDenyTellsWhoseFlowsFail(t *testing.T) {
	var c confirmFlags
	from := &flowsFrom{}
	c.addTo(&cobra.Command{}, &cli.Factory{}, from)
	if err := c.Rollback.failed(errors.New("broken")); !strings.Contains(err.Error(), "the agent's flows can't be read") {
		t.Errorf("got %v", err)
	}
	from.From = "goldmane://localhost:7443"
	if err := c.Rollback.failed(errors.New("broken")); !strings.Contains(err.Error(), "Goldmane's flows can't be read") {
		t.Errorf("got %v", err)
	}
}
