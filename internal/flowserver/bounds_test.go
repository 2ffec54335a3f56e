package flowserver_test

import (
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
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
