package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// serverStore is a directory that gives versions, as an API server does.
type serverStore struct{ cluster.Store }

func (s serverStore) ChangeWith(ctx context.Context, changes []cluster.Change, opts cluster.ChangeOptions) ([]cluster.Result, error) {
	results, err := s.Change(ctx, changes, opts.DryRun != cluster.NoDryRun)
	for i := range results {
		results[i].Version = fmt.Sprint(100 + i)
	}
	return results, err
}

func (s serverStore) Only(...policy.Kind) cluster.Store { return s }

// fakeNodes answer what they are given.
type fakeNodes struct {
	list    *agentpb.NodesReply
	await   []*agentpb.NodeReply
	turns   [][]*agentpb.NodeReply // what is answered first, one question after the other
	err     error
	awaited *agentpb.AwaitRequest
	// asked counts the changes of all requests, and largest is the bytes of the
	// largest.
	asked, largest int
	questions      []*agentpb.AwaitRequest
}

func (n *fakeNodes) List(context.Context, *agentpb.NodesRequest, ...grpc.CallOption) (*agentpb.NodesReply, error) {
	return n.list, n.err
}

func (n *fakeNodes) Await(_ context.Context, r *agentpb.AwaitRequest, _ ...grpc.CallOption) (agentpb.Nodes_AwaitClient, error) {
	n.awaited = r
	n.asked, n.largest = n.asked+len(r.GetChanges()), max(n.largest, proto.Size(r))
	n.questions = append(n.questions, r)
	replies := n.await
	if len(n.turns) > 0 {
		replies, n.turns = n.turns[0], n.turns[1:]
	}
	return &awaitStream{replies: replies, err: n.err}, nil
}

type awaitStream struct {
	grpc.ClientStream
	replies []*agentpb.NodeReply
	err     error
}

func (s *awaitStream) Recv() (*agentpb.NodeReply, error) {
	if len(s.replies) == 0 {
		if s.err != nil {
			return nil, s.err
		}
		return nil, io.EOF
	}
	r := s.replies[0]
	s.replies = s.replies[1:]
	return r, nil
}

// clusterBench runs commands as on a cluster, whose nodes are given.
type clusterBench struct {
	*bench
	nodes    *fakeNodes
	nodesErr error
	// store is what there is; nil: the bench's directory.
	store func() (cluster.Store, error)
	// noFlows: nothing of netpol is installed that could tell of traffic.
	noFlows bool
	// live: what the bench saw is what the agents tell.
	live bool
}

func (b *clusterBench) run(args ...string) (stdout, stderr string, code int) {
	b.t.Helper()
	b.t.Setenv("NETPOL_CONFIG", "")
	b.t.Setenv("XDG_CONFIG_HOME", b.dir)
	var out, errs bytes.Buffer
	config, err := cli.NewConfig()
	if err != nil {
		b.t.Fatal(err)
	}
	f := cli.New(&cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, config)
	f.Target = func() (cli.Target, error) { return cli.TargetCluster, nil }
	f.Store = func() (cluster.Store, error) {
		d, err := cluster.OpenDir(b.dir)
		return serverStore{d}, err
	}
	if b.store != nil {
		f.Store = b.store
	}
	if b.noFlows {
		f.Flows = func(context.Context) (flow.Source, error) { return nil, cli.ErrNotInstalled }
	}
	if b.live {
		f.Flows = func(context.Context) (flow.Source, error) { return fakeFlows{b.agg}, nil }
	}
	f.Nodes = func(context.Context) (agentpb.NodesClient, error) { return b.nodes, b.nodesErr }
	root, err := NewCmdRoot(f, "netpol")
	if err != nil {
		b.t.Fatal(err)
	}
	root.SetArgs(args)
	err = root.ExecuteContext(b.t.Context())
	f.Report(err)
	return out.String(), errs.String(), cli.Code(err)
}

func nodeDone(name string, enforcing bool) *agentpb.NodeReply {
	return &agentpb.NodeReply{Node: name, Connected: true, Done: true, Status: &agentpb.StatusReply{Node: name, Ready: true, Enforcing: enforcing}}
}

const allowDB = `apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: vote}
spec: {selector: app == 'db', types: [Ingress]}
`

func TestWait(t *testing.T) {
	all := []*agentpb.NodeReply{{Of: 2}, nodeDone("n1", true), nodeDone("n2", true)}
	late := []*agentpb.NodeReply{{Of: 2}, nodeDone("n1", true), {Node: "n2", Problem: "the node's agent has no line to the flows server"}}
	idle := []*agentpb.NodeReply{{Of: 1}, nodeDone("n1", false)}
	notInstalled := &cli.Error{What: "netpol is not installed in this cluster", Err: cli.ErrNotInstalled, Try: "netpol install"}
	for name, tc := range map[string]struct {
		flags    []string
		await    []*agentpb.NodeReply
		err      error
		nodesErr error
		code     int
		stderr   string
		asked    bool
	}{
		"every node has it":                     {nil, all, nil, nil, 0, "enforced on 2/2 nodes in", true},
		"a node is late, not asked to wait":     {nil, late, nil, nil, 0, "note: it is written; enforced on 1/2 nodes after 5s: n2: the node's agent has no line", true},
		"a node is late":                        {[]string{"--wait"}, late, nil, nil, 2, "error: enforced on 1/2 nodes after 30s\n  n2: the node's agent has no line", true},
		"a node is late after a time":           {[]string{"--wait", "--timeout", "2s"}, late, nil, nil, 2, "error: enforced on 1/2 nodes after 2s", true},
		"a node does not enforce":               {[]string{"--wait"}, idle, nil, nil, 2, "error: programmed on 1/1 nodes, but these do not enforce\n  n1", true},
		"no node":                               {[]string{"--wait"}, []*agentpb.NodeReply{{}}, nil, nil, 2, "no node has an agent", true},
		"not to wait":                           {[]string{"--wait=false"}, all, nil, nil, 0, "", false},
		"not installed, not asked to wait":      {nil, nil, nil, notInstalled, 0, "", false},
		"not installed":                         {[]string{"--wait"}, nil, nil, notInstalled, 2, "netpol is not installed", false},
		"a right is missing, not asked to wait": {nil, nil, status.Error(codes.PermissionDenied, "ann may not list flows.netpol.dev"), nil, 0, "note: it is written; whether nodes have it can't be found out: ann may not list", true},
		"a right is missing":                    {[]string{"--wait"}, nil, status.Error(codes.PermissionDenied, "ann may not list flows.netpol.dev"), nil, 2, "  ann may not list flows.netpol.dev\n  try: netpol status", true},
		"a dry run has nothing to wait for":     {[]string{"--wait", "--dry-run=client"}, all, nil, nil, 2, "--wait and --dry-run can't be given together", false},
		"a dry run":                             {[]string{"--dry-run=client"}, all, nil, nil, 0, "", false},
		"a time-out without waiting":            {[]string{"--wait=false", "--timeout", "1s"}, all, nil, nil, 2, "--timeout and --wait=false", false},
		"a time-out that is none":               {[]string{"--wait", "--timeout", "0s"}, all, nil, nil, 2, "--timeout 0s", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := &clusterBench{bench: newBench(t), nodes: &fakeNodes{await: tc.await, err: tc.err}, nodesErr: tc.nodesErr}
			in := filepath.Join(t.TempDir(), "db.yaml")
			if err := os.WriteFile(in, []byte(allowDB), 0o600); err != nil {
				t.Fatal(err)
			}
			_, stderr, code := b.run(append([]string{"apply", "-f", in}, tc.flags...)...)
			if code != tc.code || !strings.Contains(stderr, tc.stderr) || tc.stderr == "" && stderr != "" {
				t.Errorf("exit code %d, stderr %q", code, stderr)
			}
			if (b.nodes.awaited != nil) != tc.asked {
				t.Errorf("asked for %v", b.nodes.awaited)
			}
			if tc.asked {
				w := b.nodes.awaited.GetChanges()
				if len(w) != 1 || w[0].GetKind() != "NetworkPolicy" || w[0].GetNamespace() != "vote" || w[0].GetVersion() != "100" || w[0].GetDeleted() {
					t.Errorf("asked for %v", w)
				}
			}
		})
	}
}

// A flows server takes no question of more than 64 KiB.
func TestWaitForManyChanges(t *testing.T) {
	b := &clusterBench{bench: newBench(t), nodes: &fakeNodes{await: []*agentpb.NodeReply{{Of: 1}, nodeDone("n1", true)}}}
	var text strings.Builder
	const many = 950
	for i := range many {
		text.WriteString(strings.Replace(allowDB, "name: db", fmt.Sprintf("name: %s-%d", strings.Repeat("d", 200), i), 1) + "\n---\n")
	}
	in := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(in, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := b.run("apply", "-f", in, "--wait")
	if code != 0 || strings.Count(stderr, "enforced on 1/1 nodes") != 1 {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	if b.nodes.asked != many || b.nodes.largest > 64<<10 {
		t.Errorf("asked about %d changes, %d bytes at once", b.nodes.asked, b.nodes.largest)
	}
}

func TestStatusOfACluster(t *testing.T) {
	now := time.Now()
	well := func(name string) *agentpb.NodeReply {
		return &agentpb.NodeReply{Node: name, Connected: true, ToldNanos: now.UnixNano(), Status: &agentpb.StatusReply{
			Node: name, Version: programVersion(), Revision: 7, Ready: true, Enforcing: true, LastProgramSeconds: 0.0031,
		}}
	}
	with := func(n *agentpb.NodeReply, change func(*agentpb.NodeReply)) *agentpb.NodeReply { change(n); return n }
	for name, tc := range map[string]struct {
		nodes []*agentpb.NodeReply
		code  int
		parts []string
	}{
		"healthy":         {[]*agentpb.NodeReply{well("n1"), well("n2")}, 0, []string{"n1     enforcing   7          3.1ms   0      0", "2 of 2 agents connected"}},
		"missing":         {[]*agentpb.NodeReply{well("n1"), {Node: "n2"}}, 1, []string{"1 of 2 agents connected", "problem: n2: missing"}},
		"not connected":   {[]*agentpb.NodeReply{with(well("n1"), func(n *agentpb.NodeReply) { n.Connected = false })}, 1, []string{"problem: n1: not connected"}},
		"not ready":       {[]*agentpb.NodeReply{with(well("n1"), func(n *agentpb.NodeReply) { n.Status.Ready = false })}, 1, []string{"problem: n1: not ready"}},
		"not enforcing":   {[]*agentpb.NodeReply{with(well("n1"), func(n *agentpb.NodeReply) { n.Status.Enforcing = false; n.Status.Problems = []string{"no hook"} })}, 1, []string{"problem: n1: not enforcing", "problem: n1: no hook"}},
		"disagrees":       {[]*agentpb.NodeReply{with(well("n1"), func(n *agentpb.NodeReply) { n.Status.Disagreements = 1 })}, 1, []string{"problem: n1: disagrees"}},
		"versions differ": {[]*agentpb.NodeReply{with(well("n1"), func(n *agentpb.NodeReply) { n.Status.Version = "v0.0.9" })}, 0, []string{"warning: versions differ: "}},
		"loss":            {[]*agentpb.NodeReply{with(well("n1"), func(n *agentpb.NodeReply) { n.Status.LostEvents, n.Status.LostUnknown = 3, true })}, 0, []string{"≥3"}},
		"no CNI plugin": {[]*agentpb.NodeReply{with(well("n1"), func(n *agentpb.NodeReply) {
			n.Status.Plugin = &agentpb.PluginStatus{Reason: "no network"}
			n.Status.Problems = []string{"warning: the CNI plugin is not in force: no network"}
		})}, 0, []string{"warning: n1: the CNI plugin is not in force: no network"}},
		"no nodes": {nil, 1, []string{"problem: no node has an agent"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := &clusterBench{bench: newBench(t), nodes: &fakeNodes{list: &agentpb.NodesReply{Nodes: tc.nodes, Version: programVersion()}}}
			out, stderr, code := b.run("status")
			if code != tc.code || stderr != "" {
				t.Errorf("exit code %d, %s", code, stderr)
			}
			contains(t, out, tc.parts...)
			out, _, code = b.run("status", "-o", "json")
			var doc statusReport
			if err := json.Unmarshal([]byte(out), &doc); err != nil || code != tc.code || doc.Healthy != (tc.code == 0) || doc.Kind != "Status" {
				t.Errorf("%v, exit code %d: %s", err, code, out)
			}
		})
	}
	b := &clusterBench{bench: newBench(t), nodes: &fakeNodes{err: status.Error(codes.PermissionDenied, "ann may not list flows.netpol.dev in all namespaces")}}
	_, stderr, code := b.run("status")
	if code != 2 {
		t.Errorf("exit code %d", code)
	}
	contains(t, stderr, "ann may not list flows.netpol.dev in all namespaces", "--clusterrole=netpol-flows-reader")
}

// -o wide has a column for the CNI plugin, and JSON what is known of it.
func TestStatusTellsOfTheCNIPlugin(t *testing.T) {
	node := func(name string, p *agentpb.PluginStatus) *agentpb.NodeReply {
		n := nodeDone(name, true)
		n.Status.Version, n.Status.Plugin = programVersion(), p
		return n
	}
	b := &clusterBench{bench: newBench(t), nodes: &fakeNodes{list: &agentpb.NodesReply{Version: programVersion(), Nodes: []*agentpb.NodeReply{
		node("n1", nil), node("n2", &agentpb.PluginStatus{InForce: true, File: "10-a.conflist"}), node("n3", &agentpb.PluginStatus{Reason: "no network"}),
	}}}}
	out, _, code := b.run("status", "-o", "wide")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	for i, want := range []string{"CNI", " - ", " in force ", " missing "} {
		if line := strings.Split(out, "\n")[i] + " "; !strings.Contains(line, want) {
			t.Errorf("%q is not in %q", want, line)
		}
	}
	out, _, _ = b.run("status", "-o", "json")
	var doc statusReport
	if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Nodes) != 3 {
		t.Fatalf("%v: %s", err, out)
	}
	if n := doc.Nodes; n[0].CNI != nil || n[1].CNI == nil || *n[1].CNI != (cniStatus{InForce: true, File: "10-a.conflist"}) || n[2].CNI == nil || *n[2].CNI != (cniStatus{Reason: "no network"}) {
		t.Errorf("%s", out)
	}
}

func TestStatusOfADirectory(t *testing.T) {
	_, stderr := newBench(t).must(2, "status")
	contains(t, stderr, "--dir is files alone")
}

// What is wrong with the flows server itself is told beside the agents' troubles, and
// makes no node unhealthy.
func TestStatusTellsOfTheFlowsServer(t *testing.T) {
	b := &clusterBench{bench: newBench(t), nodes: &fakeNodes{list: &agentpb.NodesReply{
		Version: programVersion(), Warnings: []string{"flows are counted in memory alone"},
		Nodes: []*agentpb.NodeReply{{Node: "n1", Connected: true, Status: &agentpb.StatusReply{Node: "n1", Version: programVersion(), Ready: true, Enforcing: true}}},
	}}}
	out, _, code := b.run("status")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	contains(t, out, "warning: flows server: flows are counted in memory alone")
}

// TestFlowsServerIsNotInstalled: a cluster without netpol, as its API server
// answers.
func TestFlowsServerIsNotInstalled(t *testing.T) {
	answer := http.StatusNotFound
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(answer)
		reason := map[int]string{http.StatusNotFound: "NotFound", http.StatusForbidden: "Forbidden"}[answer]
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":"configmaps \"netpol-flows-ca\": no","code":%d}`, reason, answer)
	}))
	defer api.Close()
	kubeconfig := filepath.Join(t.TempDir(), "config")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\nclusters: [{name: c, cluster: {server: %s}}]\n", api.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func() string {
		var out, errs bytes.Buffer
		code := Run(t.Context(), &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, []string{"netpol", "--kubeconfig", kubeconfig, "status"})
		if code != 2 {
			t.Errorf("exit code %d", code)
		}
		return errs.String()
	}
	contains(t, run(), "error: netpol is not installed in this cluster", "try: netpol --kubeconfig "+kubeconfig+" install")
	answer = http.StatusForbidden
	contains(t, run(), "error: a right is missing for reading what the flows server is known by", "--role=netpol-flows-connect")
}

// restrictedFlows are those of a user who may see one namespace's.
type restrictedFlows struct{ fakeFlows }

func (s restrictedFlows) List(ctx context.Context, f flow.Filter) ([]flow.Flow, flow.Coverage, error) {
	for _, ns := range f.Namespaces {
		if ns != "vote" {
			return nil, flow.Coverage{}, status.Error(codes.PermissionDenied, "ann may not list flows.netpol.dev in namespace "+ns)
		}
	}
	all := len(f.Namespaces) == 0
	f.Namespaces = []string{"vote"}
	flows, coverage, err := s.fakeFlows.List(ctx, f)
	coverage.Restricted = all
	return flows, coverage, err
}

// TestRestrictedFlowsDecideNothingElse: commands that judge do so by the flows of
// the namespaces that they are about, or not at all.
func TestRestrictedFlowsDecideNothingElse(t *testing.T) {
	b := newBench(t).sawVote()
	b.source = func() flow.Source { return restrictedFlows{fakeFlows{b.agg}} }
	b.write("deny.yaml", stagedDeny)
	out, errs := b.must(0, "flows", "--workload", "db")
	contains(t, out, "vote/db")
	contains(t, errs, "only flows of namespaces that are yours to see")
	for _, args := range [][]string{{"report"}, {"recommend"}, {"recommend", "-A"}} {
		_, errs := b.must(2, args...)
		contains(t, errs, "only the flows of some namespaces are yours to see", "-n NAMESPACE")
	}
	b.must(0, "report", "--ns", "vote")
	b.must(0, "recommend", "--ns", "vote")
	_, errs = b.must(2, "report", "--ns", "wordpress")
	contains(t, errs, "the flows are not yours to see", "ann may not list flows.netpol.dev in namespace wordpress")
}
