package cmd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

// twoForOnePod are two staged policies for one pod, neither of which may come
// first.
const twoForOnePod = `
{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: gap, labels: {app: a}}, spec: {containers: [{name: c, image: c, ports: [{containerPort: 80}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: gap, labels: {app: b}}, spec: {containers: [{name: c, image: c, ports: [{containerPort: 80}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: c, namespace: gap, labels: {app: c}}, spec: {containers: [{name: c, image: c, ports: [{containerPort: 80}]}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: d, namespace: gap, labels: {app: d}}, spec: {containers: [{name: c, image: c, ports: [{containerPort: 80}]}]}}
---
{apiVersion: projectcalico.org/v3, kind: StagedNetworkPolicy, metadata: {name: from-b, namespace: gap},
 spec: {stagedAction: Set, selector: app == 'a', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'b'}}]}}
---
{apiVersion: projectcalico.org/v3, kind: StagedNetworkPolicy, metadata: {name: from-c, namespace: gap},
 spec: {stagedAction: Set, selector: app == 'a', types: [Ingress], ingress: [{action: Allow, source: {selector: app == 'c'}}]}}
`

// steppedStore is a cluster that judges after every single change, and can die
// after some of them.
type steppedStore struct {
	cluster.Store
	t *testing.T
	// dies is after how many changes it does; 0: it does not.
	dies int
	// allowed are the pods that may connect to a, after each change.
	allowed []string
}

var errDied = errors.New("the connection broke")

func (s *steppedStore) ChangeWith(ctx context.Context, changes []cluster.Change, opts cluster.ChangeOptions) ([]cluster.Result, error) {
	if opts.DryRun != cluster.NoDryRun {
		return s.Change(ctx, changes, true)
	}
	var out []cluster.Result
	for _, c := range changes {
		if s.dies > 0 && len(s.allowed) == s.dies {
			return out, errDied
		}
		results, err := s.Change(ctx, []cluster.Change{c}, false)
		if err != nil {
			return out, err
		}
		results[0].Version = "1"
		out = append(out, results...)
		s.allowed = append(s.allowed, s.whoMay())
	}
	return out, nil
}

func (s *steppedStore) Only(...policy.Kind) cluster.Store { return s }

// whoMay are the pods that may connect to pod a by what is enforced now.
func (s *steppedStore) whoMay() string {
	w, _, err := loadWorld(s.t.Context(), func() (cluster.Store, error) { return s.Store, nil })
	if err != nil {
		s.t.Fatal(err)
	}
	m := tier.New(w.snap, nil)
	var out []string
	for _, name := range []string{"b", "c", "d"} {
		j := m.Judge(tier.Enforced(), policy.Ingress, tier.Peer{Endpoint: w.snap.Endpoint("gap", "a")}, tier.Peer{Endpoint: w.snap.Endpoint("gap", name)}, policy.TCP, 80)
		if j.Action == policy.Allow {
			out = append(out, name)
		}
	}
	return strings.Join(out, "")
}

// bridgeBench is a cluster with two policies for one pod.
func bridgeBench(t *testing.T) (*clusterBench, *steppedStore) {
	t.Helper()
	b := &clusterBench{bench: newBench(t), nodes: &fakeNodes{await: []*agentpb.NodeReply{{Of: 1}, nodeDone("n1", true)}}}
	if err := os.WriteFile(filepath.Join(b.dir, "gap.yaml"), []byte(twoForOnePod), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := cluster.OpenDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	return b, &steppedStore{Store: d, t: t}
}

// enforceBoth runs netpol enforce on it, where no traffic can be looked at.
func (s *steppedStore) enforceBoth(b *clusterBench, args ...string) (stderr string, code int) {
	b.store = func() (cluster.Store, error) { return s, nil }
	b.noFlows = true
	_, stderr, code = b.run(append([]string{"enforce", "from-b", "from-c", "--ns", "gap"}, args...)...)
	return stderr, code
}

func (s *steppedStore) names() []string {
	keys, err := s.Keys(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var out []string
	for _, k := range keys {
		if slices.Contains(policyKinds, k.Kind) {
			out = append(out, k.String())
		}
	}
	slices.Sort(out)
	return out
}

var bothEnforced = []string{"NetworkPolicy gap/from-b", "NetworkPolicy gap/from-c"}

// Where no order leaves no gap, a temporary policy keeps it closed: at every
// moment b and c, which are allowed before and after, may connect.
func TestEnforceBridgesTwoPoliciesForOnePod(t *testing.T) {
	b, s := bridgeBench(t)
	stderr, code := s.enforceBoth(b)
	if code != 0 || !strings.Contains(stderr, "note: NetworkPolicy gap/zzz-netpol-bridge-") {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for i, who := range s.allowed {
		if !strings.HasPrefix(who, "bc") {
			t.Errorf("after change %d only %q may connect", i+1, who)
		}
	}
	if last := s.allowed[len(s.allowed)-1]; last != "bc" || !slices.Equal(s.names(), bothEnforced) {
		t.Errorf("in the end %q may connect, and there is %v", last, s.names())
	}
	stdout, _, _ := b.run("history", "-o", "name")
	if strings.Contains(stdout, "bridge") {
		t.Errorf("the bridge has a history: %s", stdout)
	}
}

// Wherever the command dies, nothing is lost, nothing is refused that is allowed
// before and after, and the same command goes on and leaves nothing behind.
func TestEnforceGoesOnWhereItDied(t *testing.T) {
	for dies := 1; dies < 8; dies++ {
		b, s := bridgeBench(t)
		s.dies = dies
		if stderr, code := s.enforceBoth(b); code == 0 {
			if dies < 6 {
				t.Errorf("it is done after %d changes: %s", dies, stderr)
			}
			break
		}
		s.dies = 0
		if stderr, code := s.enforceBoth(b); code != 0 {
			t.Fatalf("died after %d changes, then exit code %d: %s", dies, code, stderr)
		}
		for i, who := range s.allowed {
			if !strings.HasPrefix(who, "bc") {
				t.Errorf("died after %d changes: after change %d only %q may connect", dies, i+1, who)
			}
		}
		if last := s.whoMay(); last != "bc" || !slices.Equal(s.names(), bothEnforced) {
			t.Errorf("died after %d changes: in the end %q may connect, and there is %v", dies, last, s.names())
		}
	}
}

// A node that is late stops the command before it takes anything away: what is
// written stays, and the next run finishes.
func TestEnforceStopsWhereANodeIsLate(t *testing.T) {
	all := []*agentpb.NodeReply{{Of: 2}, nodeDone("n1", true), nodeDone("n2", true)}
	late := []*agentpb.NodeReply{{Of: 2}, nodeDone("n1", true), {Node: "n2", Problem: "the node's agent has no line to the flows server"}}
	for name, tc := range map[string]struct {
		first [][]*agentpb.NodeReply
		who   string
		there int
	}{
		"with the bridge":       {nil, "bcd", 3},
		"with the policies":     {[][]*agentpb.NodeReply{all}, "bcd", 5},
		"with the bridge's end": {[][]*agentpb.NodeReply{all, all}, "bc", 2},
	} {
		t.Run(name, func(t *testing.T) {
			b, s := bridgeBench(t)
			b.nodes.await, b.nodes.turns = late, tc.first
			stderr, code := s.enforceBoth(b)
			if who := s.whoMay(); who != tc.who || len(s.names()) != tc.there {
				t.Fatalf("%q may connect, and there is %v: %s", who, s.names(), stderr)
			}
			if tc.there == 2 { // nothing depends on the last step's being everywhere
				if code != 0 || !strings.Contains(stderr, "n2: the node's agent has no line") {
					t.Errorf("exit code %d: %s", code, stderr)
				}
				return
			}
			for _, part := range []string{"n2: the node's agent has no line", "not deleted yet: NetworkPolicy gap/zzz-netpol-bridge-", "not deleted yet: StagedNetworkPolicy gap/from-b",
				"the same command again: it goes on from here"} {
				if !strings.Contains(stderr, part) || code != cli.ExitFailed {
					t.Errorf("%q is missing, exit code %d: %s", part, code, stderr)
				}
			}
			if out, _, _ := b.run("enforce", "from-b", "--ns", "gap", "--dry-run"); strings.Contains(out, "bridge") {
				t.Errorf("the bridge goes with one of its policies alone: %s", out)
			}
			b.nodes.await = all
			if stderr, code = s.enforceBoth(b); code != 0 || !slices.Equal(s.names(), bothEnforced) {
				t.Errorf("exit code %d, and there is %v: %s", code, s.names(), stderr)
			}
		})
	}
}

// lookingAgent looks who may connect, each time that it is asked to sync.
type lookingAgent struct {
	agentpb.AgentClient
	s *steppedStore
}

func (a *lookingAgent) Sync(context.Context, *agentpb.SyncRequest, ...grpc.CallOption) (*agentpb.StatusReply, error) {
	a.s.allowed = append(a.s.allowed, a.s.whoMay())
	return &agentpb.StatusReply{Ready: true, Enforcing: true}, nil
}

// Where an agent watches a directory, as a lab's does, it has each step in the
// kernel before the next one is written.
func TestEnforceBridgesInALab(t *testing.T) {
	_, s := bridgeBench(t)
	agent := &lookingAgent{s: s}
	d, ok := s.Store.(*cluster.Dir)
	if !ok {
		t.Fatal("no directory")
	}
	opts, text := enforceOptions(d, &syncAgent{}, &stage.Report{})
	opts.Names, opts.Namespace = []string{"from-b", "from-c"}, "gap"
	opts.Agent = func(context.Context) (agentpb.AgentClient, error) { return agent, nil }
	opts.Preflight = func(_ context.Context, staged []*policy.Policy) (*stage.PreflightReport, error) {
		w, _, err := loadWorld(t.Context(), opts.Store)
		if err != nil {
			return nil, err
		}
		var keys []policy.Key
		for _, p := range staged {
			keys = append(keys, p.Key)
		}
		return stage.Preflight(tier.New(w.snap, nil), keys, stage.Facts{Blind: true}), nil
	}
	if err := enforceRun(t.Context(), opts); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if want := []string{"bcd", "bcd", "bc"}; !slices.Equal(s.allowed, want) || !slices.Equal(s.names(), bothEnforced) {
		t.Errorf("at the steps %q may connect, want %q; there is %v", s.allowed, want, s.names())
	}
}
