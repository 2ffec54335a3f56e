package cmd

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/calico"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

var denyKey = policy.Key{Kind: policy.KindGlobalNetworkPolicy, Name: "default-deny"}

// waitGiven is --wait as typed.
func waitGiven(t *testing.T) waitFlags {
	t.Helper()
	cmd := NewCmdEnforce(&cli.Factory{}, nil)
	if err := cmd.Flags().Set("wait", "true"); err != nil {
		t.Fatal(err)
	}
	return waitFlags{cmd: cmd, Wait: true}
}

// guarded is enforce --confirm-within 1m --wait in a directory, on a clock that
// passes as the guard pauses; meanwhile is what happens at each pause.
func guarded(t *testing.T, d *cluster.Dir, offline bool, meanwhile func(n int)) (*EnforceOptions, *bytes.Buffer) {
	t.Helper()
	agent := &syncAgent{reply: &agentpb.StatusReply{Enforcing: true}}
	report := &stage.Report{}
	report.Summary.Flows.Observed = 1
	opts, text := enforceOptions(d, agent, report)
	now, pauses := time.Now(), 0
	opts.Now = func() time.Time { return now }
	opts.Offline = func() bool { return offline }
	opts.Force = offline
	opts.Wait = waitGiven(t)
	opts.Confirm.Within = time.Minute
	opts.Confirm.pause = func(_ context.Context, d time.Duration) {
		now = now.Add(d)
		if pauses++; pauses > 1000 {
			t.Fatal("the guard stays for ever")
		}
		if meanwhile != nil {
			meanwhile(pauses)
		}
	}
	return opts, text
}

func (a *syncAgent) Status(context.Context, *agentpb.StatusRequest, ...grpc.CallOption) (*agentpb.StatusReply, error) {
	return a.reply, a.err
}

const bothThere = "StagedGlobalNetworkPolicy default-deny"

func TestGuardGoesBackInTime(t *testing.T) {
	d := stagedDir(t)
	opts, _ := guarded(t, d, true, nil)
	start := opts.Now()
	err := enforceRun(t.Context(), opts)
	if cli.Code(err) != cli.ExitNo || !strings.Contains(err.Error(), "nobody confirmed GlobalNetworkPolicy default-deny in time") {
		t.Errorf("got %v", err)
	}
	if got := thereIs(t, d); got != bothThere {
		t.Errorf("there is %s", got)
	}
	if took := opts.Now().Sub(start); took != time.Minute {
		t.Errorf("it went back after %s", took)
	}
}

func TestGuardEndsWhenConfirmed(t *testing.T) {
	d := stagedDir(t)
	opts, text := guarded(t, d, true, func(n int) {
		if n != 3 {
			return
		}
		c := &ConfirmOptions{Name: "default-deny", EditOptions: EditOptions{
			IO: &cli.Streams{Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}, Now: time.Now, Format: output.Text,
			Store: func() (cluster.Store, error) { return d, nil }, Offline: func() bool { return true },
		}}
		if err := confirmRun(t.Context(), c); err != nil {
			t.Errorf("confirm: %v", err)
		}
	})
	if err := enforceRun(t.Context(), opts); err != nil || !strings.Contains(text.String(), "GlobalNetworkPolicy default-deny is confirmed") {
		t.Errorf("got %v and %s", err, text)
	}
	if got := thereIs(t, d); got != "GlobalNetworkPolicy default-deny" {
		t.Errorf("there is %s: the staged one goes when it is confirmed", got)
	}
}

// A guard that is gone guards nothing: where nobody else would, it goes back at
// once; where agents do, it leaves it to them.
func TestGuardInterrupted(t *testing.T) {
	for name, tc := range map[string]struct {
		offline bool
		says    string
		there   string
	}{
		"alone":          {true, "interrupted: nobody else guards it, so what was enforced before is enforced again", bothThere},
		"agents as well": {false, "interrupted: agents go back in 59.5s unless you keep it: netpol confirm default-deny", "GlobalNetworkPolicy default-deny, " + bothThere},
	} {
		t.Run(name, func(t *testing.T) {
			d := stagedDir(t)
			ctx, cancel := context.WithCancel(t.Context())
			opts, text := guarded(t, d, tc.offline, func(int) { cancel() })
			err := enforceRun(ctx, opts)
			if cli.Code(err) != cli.ExitInterrupted || !strings.Contains(text.String(), tc.says) {
				t.Errorf("got %v and %s", err, text)
			}
			if got := thereIs(t, d); len(got) != len(tc.there) {
				t.Errorf("there is %s, want %s", got, tc.there)
			}
		})
	}
}

// failing is a store that can't be reached for a while.
type failing struct {
	cluster.Store
	down func() bool
}

func (f failing) Get(ctx context.Context, key policy.Key) (u *unstructured.Unstructured, err error) {
	if f.down() {
		return nil, errors.New("the API server can't be reached")
	}
	return f.Store.Get(ctx, key)
}

// The API is away when the time is over: the guard goes on until it is there.
func TestGuardWaitsForTheAPI(t *testing.T) {
	d := stagedDir(t)
	down := false
	opts, text := guarded(t, d, true, func(n int) { down = n > 10 && n < 200 })
	opts.Store = func() (cluster.Store, error) { return failing{d, func() bool { return down }}, nil }
	err := enforceRun(t.Context(), opts)
	if cli.Code(err) != cli.ExitNo || strings.Count(text.String(), "it can't be looked at, and is tried again") != 1 {
		t.Errorf("got %v and %s", err, text)
	}
	if got := thereIs(t, d); got != bothThere {
		t.Errorf("there is %s", got)
	}
}

// Where no agent of ours enforces, a trial is refused with the reason, and nothing
// is written.
func TestTrialsAreRefusedWhereNobodyGuards(t *testing.T) {
	for name, tc := range map[string]struct {
		offline bool
		server  bool
		calico  bool
		nodes   error
		code    int
		says    string
	}{
		"a directory":       {offline: true, code: 1, says: "no agent watches this directory"},
		"a lab":             {code: 0},
		"beside Calico":     {server: true, calico: true, code: 1, says: "Calico v3.30.2 enforces, and no agent of netpol"},
		"nothing installed": {server: true, nodes: &cli.Error{What: "no", Err: cli.ErrNotInstalled}, code: 1, says: "no agent of netpol is installed"},
		"agents are there":  {server: true, code: 0},
		"nobody knows":      {server: true, nodes: errors.New("a right is missing"), code: 2, says: "can't be found out: a right is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			opts, _ := guarded(t, stagedDir(t), tc.offline, nil)
			opts.Wait = waitFlags{}
			if tc.server {
				opts.Store = func() (cluster.Store, error) { return server{}, nil }
			}
			opts.Nodes = func(context.Context) (agentpb.NodesClient, error) { return nil, tc.nodes }
			opts.Confirm.Calico = func(context.Context) (*calico.Info, error) {
				if !tc.calico {
					return &calico.Info{}, nil
				}
				v, _ := calico.ParseVersion("v3.30.2")
				return &calico.Info{Found: true, Unsure: true, Version: v}, nil
			}
			err := opts.checkTrial(t.Context())
			if cli.Code(err) != tc.code || tc.says != "" && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// server is a cluster of which nobody asks anything.
type server struct{ cluster.Server }
