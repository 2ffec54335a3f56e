package flowserver_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/flowpb"
)

// TestSumsAreExactAfterChaos: agents count while the server restarts again and
// again; in the end it has what they have.
func TestSumsAreExactAfterChaos(t *testing.T) {
	nodes := []string{"n1", "n2", "n3"}
	w := newWorld(t, nodes...)
	w.allow("admin list flows *")
	var agents []*agent
	for _, n := range nodes {
		agents = append(agents, w.agent(n))
	}
	var started, completed int64
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 8 {
		for range 300 {
			a := agents[rng.IntN(len(agents))]
			k := tcp(workload("vote", fmt.Sprint("w", rng.IntN(40))), workload("vote", "redis"), 6379)
			a.flows.Started(k, flow.Ends{}, time.Now())
			started++
			if rng.IntN(2) == 0 {
				a.flows.Ended(k, flow.Counters{PacketsIn: 1, BytesIn: 100}, time.Now())
				completed++
			}
		}
		time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
		if round%2 == 1 {
			w.stop()
			time.Sleep(time.Duration(rng.IntN(20)) * time.Millisecond)
			w.start()
		}
	}
	conn := w.dial("user-admin")
	var got, ended, live int64
	defer func() {
		if t.Failed() {
			t.Logf("%d started, %d completed, %d open; want %d, %d, %d", got, ended, live, started, completed, started-completed)
		}
	}()
	w.eventually("all counts", func() bool {
		got, ended, live, _ = w.connections(conn)
		return got == started && ended == completed && live == started-completed
	})
	time.Sleep(50 * time.Millisecond) // nothing comes twice
	if got, _, _, c := w.connections(conn); got != started || c.LostUnknown || c.Lost != 0 {
		t.Errorf("%d connections, want %d; %+v", got, started, c)
	}
	// An agent that ends tells the rest, and what was open there is not any more.
	k := tcp(workload("vote", "last"), workload("vote", "redis"), 6379)
	agents[0].flows.Started(k, flow.Ends{}, time.Now())
	agents[0].stop()
	w.eventually("the rest", func() bool {
		got, _, live, c := w.connections(conn)
		return got == started+1 && live < started-completed && c.LostUnknown // its node is away
	})
}

// TestAgentsBeginAnew: an agent that was killed counts from zero, what it
// counted before stays, and it is said that something is missing.
func TestAgentsBeginAnew(t *testing.T) {
	w := newWorld(t, "n1")
	w.allow("admin list flows *")
	conn := w.dial("user-admin")
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	a := w.agent("n1")
	a.flows.Started(k, flow.Ends{}, time.Now())
	w.eventually("one", func() bool { n, _, live, c := w.connections(conn); return n == 1 && live == 1 && !c.LostUnknown })
	a.stop()
	time.Sleep(2 * time.Millisecond)
	b := w.agent("n1")
	b.flows.Existing(k, flow.Ends{}, time.Now())
	b.flows.Started(k, flow.Ends{}, time.Now())
	w.eventually("two", func() bool { n, _, live, c := w.connections(conn); return n == 2 && live == 2 && c.LostUnknown })
}

func TestUsersSeeWhatTheyMay(t *testing.T) {
	w := newWorld(t, "n1")
	w.allow("admin list flows *", "voter list flows vote", "blogger list flows wordpress", "idle list flows empty")
	a := w.agent("n1")
	now := time.Now()
	for _, k := range []flow.Key{
		tcp(workload("vote", "vote"), workload("vote", "redis"), 6379),
		tcp(workload("vote", "vote"), workload("wordpress", "wordpress"), 80),
		tcp(workload("wordpress", "wordpress"), workload("wordpress", "mysql"), 3306),
	} {
		a.flows.Started(k, flow.Ends{}, now)
	}
	admin := w.dial("user-admin")
	w.eventually("three flows", func() bool { n, _, _, _ := w.connections(admin); return n == 3 })
	for _, tc := range []struct {
		user       string
		namespaces []string
		want       int64
		restricted bool
	}{
		{"admin", nil, 3, false},
		{"voter", nil, 2, true},
		{"voter", []string{"vote"}, 2, false},
		{"blogger", []string{"wordpress"}, 2, false},
		{"idle", []string{"empty"}, 0, false},
	} {
		n, _, _, c := w.connections(w.dial("user-"+tc.user), tc.namespaces...)
		if n != tc.want || c.Restricted != tc.restricted {
			t.Errorf("%s in %v: %d flows, restricted %v", tc.user, tc.namespaces, n, c.Restricted)
		}
	}
	for _, tc := range []struct {
		token      string
		namespaces []string
		code       codes.Code
		text       string
	}{
		{"user-voter", []string{"vote", "wordpress"}, codes.PermissionDenied, "voter may not list flows.netpol.dev in namespace wordpress"},
		{"user-nobody", nil, codes.PermissionDenied, "nobody may not list flows.netpol.dev in any namespace"},
		{"user-nobody", []string{"vote"}, codes.PermissionDenied, "nobody may not list flows.netpol.dev in namespace vote"},
		{"", nil, codes.Unauthenticated, "no bearer token"},
		{"bad", nil, codes.Unauthenticated, "does not know the token"},
		{"down-x", nil, codes.Unavailable, "the API server is away"},
		{"agent-n1", nil, codes.Unauthenticated, "does not know the token"},
	} {
		source := flow.NewClient(w.dial(tc.token))
		_, _, err := source.List(t.Context(), flow.Filter{Namespaces: tc.namespaces})
		code(t, err, tc.code, tc.text)
		err = source.Follow(t.Context(), flow.Filter{Namespaces: tc.namespaces}, func(flow.Flow) error { return nil })
		code(t, err, tc.code, tc.text)
	}
	hints, err := flowpb.NewFlowsClient(w.dial("user-voter")).FilterHints(t.Context(), &flowpb.FilterHintsRequest{Type: flowpb.FilterType_FilterTypeDestName})
	if err != nil || len(hints.GetHints()) != 2 {
		t.Errorf("hints %v, %v: mysql is not voter's to know", hints, err)
	}
}

// TestFiltersTellNothingOfOthers: who may see nothing is told the same whatever is
// asked for, and learns neither when there was traffic nor which nodes there are.
func TestFiltersTellNothingOfOthers(t *testing.T) {
	w := newWorld(t, "n1")
	w.allow("admin list flows *", "voter list flows vote", "idle list flows empty")
	a := w.agent("n1")
	ctx := t.Context()
	nobody := flow.NewClient(w.dial("user-nobody"))
	flows, c, err := nobody.List(ctx, flow.Filter{})
	if err != nil || len(flows) != 0 || len(c.Nodes) != 0 || !c.Restricted {
		t.Errorf("before there is anything: %v, %+v, %v", flows, c, err)
	}
	now := time.Now()
	a.flows.Started(tcp(workload("vote", "vote"), workload("vote", "redis"), 6379), flow.Ends{}, now)
	a.flows.Started(tcp(workload("wordpress", "wordpress"), workload("wordpress", "mysql"), 3306), flow.Ends{}, now)
	admin := w.dial("user-admin")
	w.eventually("two flows", func() bool { n, _, _, _ := w.connections(admin); return n == 2 })
	for what, f := range map[string]flow.Filter{
		"all": {}, "before": {Until: now.Add(-time.Hour)}, "later": {Since: now.Add(time.Hour)}, "a port": {Port: 1},
	} {
		_, _, err := nobody.List(ctx, f)
		code(t, err, codes.PermissionDenied, "nobody may not list flows.netpol.dev in any namespace")
		_, _, err = flow.NewClient(w.dial("user-idle")).List(ctx, f)
		code(t, err, codes.PermissionDenied, "idle may not list flows.netpol.dev in any namespace")
		flows, c, err := flow.NewClient(w.dial("user-voter")).List(ctx, f)
		if err != nil || len(c.Nodes) != 1 || (len(flows) == 1) != (what == "all" || what == "later") {
			t.Errorf("%s: %v, %+v, %v", what, flows, c, err)
		}
	}
	_, err = flowpb.NewFlowsClient(w.dial("user-nobody")).FilterHints(ctx, &flowpb.FilterHintsRequest{
		Type: flowpb.FilterType_FilterTypeDestName, StartTimeGte: now.Add(time.Hour).Unix(),
	})
	code(t, err, codes.PermissionDenied, "nobody may not")
}

func TestFollowAddsUp(t *testing.T) {
	w := newWorld(t, "n1")
	w.allow("voter list flows vote")
	a := w.agent("n1")
	a.flows.Started(tcp(workload("vote", "vote"), workload("vote", "redis"), 6379), flow.Ends{}, time.Now())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan flow.Flow, 100)
	go func() {
		_ = flow.NewClient(w.dial("user-voter")).Follow(ctx, flow.Filter{Since: time.Now().Add(-time.Hour)}, func(f flow.Flow) error { seen <- f; return nil })
	}()
	var sum int64
	for i := range 5 {
		a.flows.Started(tcp(workload("vote", "vote"), workload("vote", "redis"), 6379), flow.Ends{}, time.Now())
		a.flows.Started(tcp(workload("other", "a"), workload("other", "b"), 1), flow.Ends{}, time.Now())
		for deadline := time.After(10 * time.Second); sum < int64(i+2); {
			select {
			case f := <-seen:
				if f.Source.Workload.Namespace != "vote" {
					t.Fatalf("shown %v", f.Key)
				}
				sum += f.Connections
			case <-deadline:
				t.Fatalf("%d connections, want %d", sum, i+2)
			}
		}
	}
	if sum != 6 {
		t.Errorf("%d connections, want 6", sum)
	}
}

func TestNodesAwait(t *testing.T) {
	w := newWorld(t, "n1", "n2", "n3")
	w.allow("voter get networkpolicies vote", "admin list flows *")
	a, b := w.agent("n1"), w.agent("n2")
	nodes := agentpb.NewNodesClient(w.dial("user-voter"))
	admin := agentpb.NewNodesClient(w.dial("user-admin"))
	w.eventually("two lines", func() bool {
		r, err := admin.List(t.Context(), &agentpb.NodesRequest{})
		return err == nil && len(r.GetNodes()) == 3 && r.GetNodes()[1].GetStatus().GetReady() && r.GetNodes()[0].GetConnected() && !r.GetNodes()[2].GetConnected()
	})
	_, err := nodes.List(t.Context(), &agentpb.NodesRequest{})
	code(t, err, codes.PermissionDenied, "list flows.netpol.dev in all namespaces")

	request := &agentpb.AwaitRequest{Changes: []*agentpb.Written{{Kind: "NetworkPolicy", Namespace: "vote", Name: "db", Version: "7"}}}
	await := func(ctx context.Context) agentpb.Nodes_AwaitClient {
		t.Helper()
		stream, err := nodes.Await(ctx, request)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := stream.Recv(); err != nil || r.GetOf() != 3 {
			t.Fatal(r, err)
		}
		return stream
	}
	ctx, cancel := context.WithCancel(t.Context())
	stream := await(ctx)
	w.eventually("the agents to be asked", func() bool { return a.isAwaited() && b.isAwaited() })
	a.program()
	if r, err := stream.Recv(); err != nil || r.GetNode() != "n1" || !r.GetDone() || r.GetStatus().GetRevision() != 1 {
		t.Fatal(r, err)
	}
	c := w.agent("n3") // comes while it is waited for
	w.eventually("n3 to be asked", c.isAwaited)
	c.program()
	if r, err := stream.Recv(); err != nil || r.GetNode() != "n3" || !r.GetDone() {
		t.Fatal(r, err)
	}
	cancel() // n2 will not have it in any time
	request.TimeoutMilliseconds = 200
	stream = await(t.Context())
	for range 3 {
		if r, err := stream.Recv(); err != nil || r.GetDone() || r.GetProblem() == "" {
			t.Fatal(r, err)
		}
	}
	request.Changes[0].Namespace = "wordpress"
	stream, err = nodes.Await(t.Context(), request)
	if err == nil {
		_, err = stream.Recv()
	}
	code(t, err, codes.PermissionDenied, "voter may not list flows.netpol.dev in namespace wordpress, nor get networkpolicies.projectcalico.org db")
}

func TestProbesArePassedOn(t *testing.T) {
	w := newWorld(t, "n1", "n2")
	w.allow("prober patch pods/ephemeralcontainers vote", "sre create probes *", "admin list flows *")
	a, b := w.agent("n1"), w.agent("n2")
	admin := agentpb.NewNodesClient(w.dial("user-admin"))
	w.eventually("lines", func() bool {
		r, err := admin.List(t.Context(), &agentpb.NodesRequest{})
		return err == nil && r.GetNodes()[0].GetConnected() && r.GetNodes()[1].GetConnected()
	})
	client := agentpb.NewAgentClient(w.dial("user-prober"))
	probe := &agentpb.RegisterProbeRequest{Protocol: 6, SourceAddress: "10.0.0.1", SourcePort: 4000, ValidMilliseconds: 1000, Nodes: []string{"n1", "n2"}, Namespace: "vote"}
	if _, err := client.RegisterProbe(t.Context(), probe); err != nil {
		t.Fatal(err)
	}
	if _, err := agentpb.NewAgentClient(w.dial("user-sre")).RegisterProbe(t.Context(), probe); err != nil {
		t.Fatal(err)
	}
	if len(a.probes) != 2 || len(b.probes) != 2 || a.probes[0].GetSourcePort() != 4000 {
		t.Errorf("probes %v, %v", a.probes, b.probes)
	}
	b.mu.Lock()
	b.denies = &agentpb.DeniedReply{Denied: true, Direction: "Ingress", Name: "db"}
	b.mu.Unlock()
	tuple := &agentpb.Tuple{Protocol: 6, SourceAddress: "10.0.0.1", SourcePort: 4000, Nodes: []string{"n1", "n2"}, Namespace: "vote"}
	if r, err := client.Denied(t.Context(), tuple); err != nil || r.GetName() != "db" {
		t.Error(r, err)
	}
	probe.Namespace = "wordpress"
	_, err := client.RegisterProbe(t.Context(), probe)
	code(t, err, codes.PermissionDenied, "prober may not create probes.netpol.dev (or patch pods/ephemeralcontainers) in namespace wordpress")
	_, err = agentpb.NewAgentClient(w.dial("user-sre")).RegisterProbe(t.Context(), probe)
	code(t, err, codes.PermissionDenied, `node n1: no pod of namespace "wordpress" has the address 10.0.0.1`)
	probe.Namespace, probe.Nodes = "vote", []string{"n1", "n9"}
	_, err = client.RegisterProbe(t.Context(), probe)
	code(t, err, codes.Unavailable, "node n9")
	probe.Nodes = nil
	_, err = client.RegisterProbe(t.Context(), probe)
	code(t, err, codes.InvalidArgument, "nodes of both ends")
	_, err = client.Status(t.Context(), &agentpb.StatusRequest{})
	code(t, err, codes.Unimplemented, "Nodes")
}

func TestOnlyAgentsEnroll(t *testing.T) {
	w := newWorld(t, "n1")
	client := relaypb.NewRelayClient(w.dial(""))
	for token, want := range map[string]codes.Code{
		"": codes.Unauthenticated, "user-admin": codes.Unauthenticated, "sa-default": codes.PermissionDenied,
		"agent-": codes.PermissionDenied, "old-n1": codes.InvalidArgument, "agent-n1": codes.InvalidArgument, "down-": codes.Unavailable,
	} {
		_, err := client.Enroll(t.Context(), &relaypb.EnrollRequest{Token: forServer(token), Request: []byte("no request")})
		code(t, err, want, "")
	}
	before := w.reviews.Load()
	for _, token := range []string{"", "user-admin", "agent-n1", "a.b.c", "e30.e30.e30"} {
		_, err := client.Enroll(t.Context(), &relaypb.EnrollRequest{Token: token})
		code(t, err, codes.Unauthenticated, "")
	}
	if n := w.reviews.Load() - before; n != 0 {
		t.Errorf("the API server was asked %d times about tokens that are for somebody else", n)
	}
	stream, err := client.Connect(t.Context())
	if err == nil {
		_, err = stream.Recv()
	}
	code(t, err, codes.Unauthenticated, "for agents alone")
}

// TestAgentsFollowTheAuthority: agents whose server has another authority enroll
// there as soon as it is published, and lose nothing.
func TestAgentsFollowTheAuthority(t *testing.T) {
	w := newWorld(t, "n1")
	w.allow("admin list flows *")
	a := w.agent("n1")
	k := tcp(workload("vote", "vote"), workload("vote", "redis"), 6379)
	a.flows.Started(k, flow.Ends{}, time.Now())
	before := w.dial("user-admin")
	w.eventually("one", func() bool { n, _, _, _ := w.connections(before); return n == 1 })
	w.stop()
	w.mu.Lock()
	w.secret, w.bundle = nil, nil
	w.mu.Unlock()
	a.flows.Started(k, flow.Ends{}, time.Now())
	w.start()
	after := w.dial("user-admin")
	w.eventually("two", func() bool { n, _, live, _ := w.connections(after); return n == 2 && live == 2 })
	if _, _, err := flow.NewClient(before).List(t.Context(), flow.Filter{}); err == nil {
		t.Error("a client of the former authority is served")
	}
}

// TestAgentIsHeldToItsNode: a certificate is one node's, and what its agent says
// is of that node.
func TestAgentIsHeldToItsNode(t *testing.T) {
	w := newWorld(t, "n1", "n2")
	w.allow("admin list flows *")
	stream := w.line("n1")
	if err := stream.Send(&relaypb.Up{Is: &relaypb.Up_Hello{Hello: &relaypb.Hello{Node: "n2", Session: "s", StartedNanos: 1}}}); err != nil {
		t.Fatal(err)
	}
	_, err := stream.Recv()
	code(t, err, codes.PermissionDenied, "the certificate is node n1's, not n2's")

	stream = w.line("n1")
	send := func(up *relaypb.Up) {
		t.Helper()
		if err := stream.Send(up); err != nil {
			t.Fatal(err)
		}
	}
	send(&relaypb.Up{Is: &relaypb.Up_Hello{Hello: &relaypb.Hello{Node: "n1", Session: "s", StartedNanos: time.Now().UnixNano()}}})
	if down, err := stream.Recv(); err != nil || down.GetWelcome().GetKnown() {
		t.Fatal(down, err)
	}
	send(&relaypb.Up{Is: &relaypb.Up_Status{Status: &agentpb.StatusReply{Node: "n2", Ready: true}}})
	admin := agentpb.NewNodesClient(w.dial("user-admin"))
	w.eventually("the status", func() bool {
		r, err := admin.List(t.Context(), &agentpb.NodesRequest{})
		return err == nil && r.GetNodes()[0].GetStatus().GetNode() == "n1" && r.GetNodes()[1].GetStatus() == nil
	})
	// Batches are counted once and in order; what is not a flow is a loss.
	send(&relaypb.Up{Is: &relaypb.Up_Batch{Batch: &relaypb.Batch{Sequence: 1, Gains: []*relaypb.Gain{{}}}}})
	send(&relaypb.Up{Is: &relaypb.Up_Batch{Batch: &relaypb.Batch{Sequence: 1}}})
	for range 2 {
		if down, err := stream.Recv(); err != nil || down.GetAcknowledged() != 1 {
			t.Fatal(down, err)
		}
	}
	if _, _, _, c := w.connections(w.dial("user-admin")); !c.LostUnknown {
		t.Error("what could not be read is not missing")
	}
	send(&relaypb.Up{Is: &relaypb.Up_Batch{Batch: &relaypb.Batch{Sequence: 3}}})
	_, err = stream.Recv()
	code(t, err, codes.InvalidArgument, "batch 3 comes after 1")
}
