package flowserver_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
)

// hello has a node's agent connect, and says what it says of itself.
func (w *world) hello(node string, s *agentpb.StatusReply) relaypb.Relay_ConnectClient {
	w.t.Helper()
	stream := w.line(node)
	for _, up := range []*relaypb.Up{
		{Is: &relaypb.Up_Hello{Hello: &relaypb.Hello{Node: node, Session: "s", StartedNanos: time.Now().UnixNano()}}},
		{Is: &relaypb.Up_Status{Status: s}},
	} {
		if err := stream.Send(up); err != nil {
			w.t.Fatal(err)
		}
	}
	if down, err := stream.Recv(); err != nil || down.GetWelcome() == nil {
		w.t.Fatal(down, err)
	}
	return stream
}

// TestLongProblemsAreCutAtACharacter: one agent's long text of more than ASCII
// must not keep the status of all nodes from users.
func TestLongProblemsAreCutAtACharacter(t *testing.T) {
	w := newWorld(t, "n1")
	w.allow("admin list flows *")
	long := "x" + strings.Repeat("ü", 2000) // a cut at an even byte is within one
	w.hello("n1", &agentpb.StatusReply{Ready: true, Version: long, Problems: []string{"short ü", long}})
	admin := agentpb.NewNodesClient(w.dial("user-admin"))
	var got *agentpb.StatusReply
	for range 100 {
		r, err := admin.List(t.Context(), &agentpb.NodesRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if got = r.GetNodes()[0].GetStatus(); got != nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	want := "x" + strings.Repeat("ü", 499)
	if p := got.GetProblems(); len(p) != 2 || p[0] != "short ü" || p[1] != want || got.GetVersion() != want {
		t.Errorf("problems %q, version %q", p, got.GetVersion())
	}
}

// awaitOne waits for a change, and returns when the server has accepted that or
// refused it.
func awaitOne(ctx context.Context, nodes agentpb.NodesClient, change *agentpb.Written) (agentpb.Nodes_AwaitClient, error) {
	stream, err := nodes.Await(ctx, &agentpb.AwaitRequest{Changes: []*agentpb.Written{change}})
	if err == nil {
		_, err = stream.Recv()
	}
	return stream, err
}

// TestLargeAwaitsAreRefused: what a user waits for goes to each node, and must
// not be more than agents take.
func TestLargeAwaitsAreRefused(t *testing.T) {
	w := newWorld(t, "n1")
	w.allow("voter list flows vote")
	nodes := agentpb.NewNodesClient(w.dial("user-voter"))
	for _, tc := range []struct {
		what   string
		change *agentpb.Written
		code   codes.Code
		text   string
	}{
		{"almost a message", &agentpb.Written{Kind: "NetworkPolicy", Namespace: "vote", Name: strings.Repeat("x", 4<<20-100)}, codes.ResourceExhausted, "at most 65536 bytes"},
		{"a long kind", &agentpb.Written{Kind: strings.Repeat("x", 254), Namespace: "vote", Name: "db"}, codes.InvalidArgument, "change 1"},
		{"a long name", &agentpb.Written{Kind: "NetworkPolicy", Namespace: "vote", Name: strings.Repeat("x", 254)}, codes.InvalidArgument, "change 1"},
		{"a long version", &agentpb.Written{Kind: "NetworkPolicy", Namespace: "vote", Name: "db", Version: strings.Repeat("1", 65)}, codes.InvalidArgument, "change 1"},
		{"the longest", &agentpb.Written{Kind: "NetworkPolicy", Namespace: "vote", Name: strings.Repeat("x", 253), Version: strings.Repeat("1", 64)}, codes.OK, ""},
	} {
		t.Run(tc.what, func(t *testing.T) {
			_, err := awaitOne(t.Context(), nodes, tc.change)
			if tc.code != codes.OK {
				code(t, err, tc.code, tc.text)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	// Other streams of users have the same bound.
	source := flow.NewClient(w.dial("user-voter"))
	err := source.Follow(t.Context(), flow.Filter{Namespaces: []string{"vote", strings.Repeat("x", 1<<20)}}, func(flow.Flow) error { return nil })
	code(t, err, codes.ResourceExhausted, "at most 65536 bytes")
}

// TestAwaitsOfOneUserAreBounded: nobody takes all the room that a line has for
// commands.
func TestAwaitsOfOneUserAreBounded(t *testing.T) {
	w := newWorld(t, "n1")
	w.allow("voter list flows vote", "blogger list flows vote")
	nodes := agentpb.NewNodesClient(w.dial("user-voter"))
	change := &agentpb.Written{Kind: "NetworkPolicy", Namespace: "vote", Name: "db", Version: "7"}
	one, cancel := context.WithCancel(t.Context())
	defer cancel()
	for i := range 32 {
		ctx := t.Context()
		if i == 0 {
			ctx = one
		}
		if _, err := awaitOne(ctx, nodes, change); err != nil {
			t.Fatal(i, err)
		}
	}
	_, err := awaitOne(t.Context(), nodes, change)
	code(t, err, codes.ResourceExhausted, "too many calls wait for changes")
	if _, err := awaitOne(t.Context(), agentpb.NewNodesClient(w.dial("user-blogger")), change); err != nil {
		t.Errorf("another user: %v", err)
	}
	cancel()
	w.eventually("the place of a call that ended", func() bool {
		_, err := awaitOne(t.Context(), nodes, change)
		return err == nil
	})
}

// TestEnrolmentsAreBoundedByAddress: a pod that sends tokens without end keeps no
// agent from enrolling.
func TestEnrolmentsAreBoundedByAddress(t *testing.T) {
	w := newWorld(t, "n1")
	pod := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	client := relaypb.NewRelayClient(w.dial("", grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		return pod.DialContext(ctx, "tcp", addr)
	})))
	refused := 0
	for i := range 200 {
		_, err := client.Enroll(t.Context(), &relaypb.EnrollRequest{Token: forServer(fmt.Sprint("nobody-", i))})
		if status.Code(err) == codes.ResourceExhausted {
			refused++
		} else {
			code(t, err, codes.Unauthenticated, "not valid")
		}
	}
	if refused < 100 {
		t.Errorf("%d of 200 were refused unasked", refused)
	}
	w.hello("n1", &agentpb.StatusReply{Ready: true})
}
