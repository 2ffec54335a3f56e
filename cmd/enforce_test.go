package cmd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// syncAgent is an agent that only answers Sync.
type syncAgent struct {
	agentpb.AgentClient
	reply *agentpb.StatusReply
	err   error
	calls int
}

func (a *syncAgent) Sync(context.Context, *agentpb.SyncRequest, ...grpc.CallOption) (*agentpb.StatusReply, error) {
	a.calls++
	return a.reply, a.err
}

// stagedDir is a directory with a staged default-deny.
func stagedDir(t *testing.T) *cluster.Dir {
	t.Helper()
	root := t.TempDir()
	manifest := `apiVersion: projectcalico.org/v3
kind: StagedGlobalNetworkPolicy
metadata: {name: default-deny}
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

func enforceOptions(d *cluster.Dir, agent *syncAgent, report *stage.Report) (*EnforceOptions, *bytes.Buffer) {
	var text bytes.Buffer
	return &EnforceOptions{
		EditOptions: EditOptions{
			IO: &cli.Streams{Out: &text, Err: &text}, Now: time.Now, Format: output.Text,
			Store:   func() (cluster.Store, error) { return d, nil },
			Agent:   func(context.Context) (agentpb.AgentClient, error) { return agent, nil },
			Offline: func() bool { return false },
		},
		policySelection: policySelection{Names: []string{"default-deny"}, Namespace: "vote"},
		gate: gate{Preflight: func(context.Context, []*policy.Policy) (*stage.PreflightReport, error) {
			out := &stage.PreflightReport{Impact: report}
			for range report.Items {
				out.Problems = append(out.Problems, stage.Problem{Class: stage.ClassObserved, Refuses: true})
			}
			return out, nil
		}},
	}, &text
}

func thereIs(t *testing.T, d *cluster.Dir) string {
	t.Helper()
	keys, err := d.Keys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, k := range keys {
		out = append(out, k.String())
	}
	return strings.Join(out, ", ")
}

func TestEnforceRefusesWhatWouldBlockTraffic(t *testing.T) {
	report := &stage.Report{
		Items: []stage.Item{{
			Source:      stage.Peer{Namespace: "vote", Workload: "vote", Kind: "Deployment"},
			Destination: stage.Peer{Namespace: "vote", Workload: "redis", Kind: "Deployment"},
			Port:        flow.Port{Protocol: "TCP", Port: 6379}, Direction: "Egress", Connections: 12,
			BlockedBy: &stage.By{Tier: "default", Kind: "GlobalNetworkPolicy", Name: "default-deny", Rule: -1},
		}},
	}
	report.Summary.Flows = stage.Counts{Observed: 3, WouldBlock: 1}
	d, agent := stagedDir(t), &syncAgent{reply: &agentpb.StatusReply{Enforcing: true}}
	opts, text := enforceOptions(d, agent, report)
	err := enforceRun(t.Context(), opts)
	if cli.Code(err) != cli.ExitNo {
		t.Fatalf("got %v", err)
	}
	var refusal *cli.Error
	if !errors.As(err, &refusal) || !strings.Contains(refusal.What, "would block 1 flow that was seen") ||
		!strings.Contains(strings.Join(refusal.Where, "\n"), "vote/vote → vote/redis TCP/6379, 12 connections: Egress default: GlobalNetworkPolicy default-deny, end of tier") ||
		!strings.Contains(refusal.Try, "netpol report default-deny --ns vote, then netpol recommend --ns vote;") {
		t.Errorf("got %+v", err)
	}
	if got := thereIs(t, d); got != "StagedGlobalNetworkPolicy default-deny" || agent.calls != 0 {
		t.Errorf("there is %s, %d calls", got, agent.calls)
	}

	opts.Force = true
	if err := enforceRun(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	if got := thereIs(t, d); got != "GlobalNetworkPolicy default-deny" || agent.calls != 1 {
		t.Errorf("there is %s, %d calls", got, agent.calls)
	}
	if !strings.Contains(text.String(), "GlobalNetworkPolicy default-deny enforced\n") || !strings.Contains(text.String(), "in the kernel after") {
		t.Errorf("got %s", text)
	}
}

func TestEnforceWhereNothingWouldBeBlocked(t *testing.T) {
	for name, tc := range map[string]struct {
		observed int64
		agent    syncAgent
		code     int
		says     string
		closes   bool // it selects pods
	}{
		"in force":                             {9, syncAgent{reply: &agentpb.StatusReply{Enforcing: true}}, 0, "in the kernel after", true},
		"nothing was seen, and it is nobody's": {0, syncAgent{reply: &agentpb.StatusReply{Enforcing: true}}, 0, "no traffic has been seen yet", false},
		"agent is powerless":                   {9, syncAgent{reply: &agentpb.StatusReply{Problems: []string{"no hooks"}}}, 2, "", true},
		"agent does not reply":                 {9, syncAgent{err: errors.New("unavailable")}, 2, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			report := &stage.Report{}
			report.Summary.Flows.Observed = tc.observed
			d := stagedDir(t)
			opts, text := enforceOptions(d, &tc.agent, report)
			judge := opts.Preflight
			opts.Preflight = func(ctx context.Context, staged []*policy.Policy) (*stage.PreflightReport, error) {
				out, err := judge(ctx, staged)
				out.Closes = tc.closes
				return out, err
			}
			err := enforceRun(t.Context(), opts)
			if cli.Code(err) != tc.code || !strings.Contains(text.String(), tc.says) {
				t.Errorf("got %v and %s", err, text)
			}
			if got := thereIs(t, d); got != "GlobalNetworkPolicy default-deny" {
				t.Errorf("there is %s", got)
			}
		})
	}
}
