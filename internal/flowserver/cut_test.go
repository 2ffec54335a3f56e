package flowserver_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// WouldCut implements agentpb.AgentServer for the agents of these tests.
func (a *agent) WouldCut(_ context.Context, r *agentpb.WouldCutRequest) (*agentpb.WouldCutReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cuts == nil {
		return nil, status.Error(codes.Unavailable, "not yet")
	}
	a.asked = r
	return a.cuts, nil
}

func openConn(from, to string, port uint32, since int64, atLeast bool) *agentpb.OpenConnection {
	peer := func(ns string) flow.Peer {
		return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: ns, Name: "w"}}
	}
	return &agentpb.OpenConnection{
		Key:           flow.KeyToWire(flow.Key{Source: peer(from), Destination: peer(to), Protocol: policy.TCP, Port: 80}),
		SourceAddress: "10.0.0.1", SourcePort: port, DestinationAddress: "10.0.0.2", SinceNanos: since, AtLeast: atLeast,
	}
}

func TestWouldCutAsksEveryNode(t *testing.T) {
	w := newWorld(t, "n1", "n2", "n3")
	w.allow("admin list flows *", "voter list flows vote")
	a, b := w.agent("n1"), w.agent("n2")
	a.cuts = &agentpb.WouldCutReply{Open: 5, More: 2, Connections: []*agentpb.OpenConnection{
		openConn("vote", "vote", 1, 50, false), openConn("vote", "web", 2, 40, true),
	}}
	b.cuts = &agentpb.WouldCutReply{Open: 1, Connections: []*agentpb.OpenConnection{
		openConn("vote", "web", 2, 45, false), // the other end of a's, which knows when it began
		openConn("web", "web", 3, 10, false),
		{SourceAddress: "nonsense"},
	}}
	admin := agentpb.NewNodesClient(w.dial("user-admin"))
	w.eventually("lines", func() bool {
		r, err := admin.List(t.Context(), &agentpb.NodesRequest{})
		return err == nil && r.GetNodes()[0].GetConnected() && r.GetNodes()[1].GetConnected()
	})
	ask := func(user string, r *agentpb.WouldCutRequest) (string, error) {
		reply, err := agentpb.NewAgentClient(w.dial("user-"+user)).WouldCut(t.Context(), r)
		var list string
		for _, c := range reply.GetConnections() {
			list += fmt.Sprintf("%d@%d ", c.GetSourcePort(), c.GetSinceNanos())
		}
		return fmt.Sprintf("%sopen %d more %d %v", list, reply.GetOpen(), reply.GetMore(), reply.GetUnanswered()), err
	}
	request := &agentpb.WouldCutRequest{Kind: "StagedNetworkPolicy", Namespace: "vote", Name: "db"}
	for _, c := range []struct {
		user       string
		namespaces []string
		limit      int32
		want       string
	}{
		{"admin", nil, 0, "3@10 2@45 1@50 open 6 more 2 [n3]"},
		{"admin", nil, 1, "3@10 open 6 more 4 [n3]"},
		{"voter", []string{"vote"}, 0, "2@45 1@50 open 6 more 2 [n3]"}, // the agents count what was asked for
	} {
		request.Namespaces, request.Limit = c.namespaces, c.limit
		if got, err := ask(c.user, request); err != nil || got != c.want {
			t.Errorf("%s: %s, %v; want %s", c.user, got, err, c.want)
		}
	}
	if a.asked.GetName() != "db" || len(a.asked.GetNamespaces()) != 1 {
		t.Errorf("the agent was asked %v", a.asked)
	}
	request.Namespaces = nil
	_, err := ask("voter", request)
	code(t, err, codes.PermissionDenied, "voter may not list flows.netpol.dev in all namespaces")
	request.Namespaces = []string{"web"}
	_, err = ask("voter", request)
	code(t, err, codes.PermissionDenied, "voter may not list flows.netpol.dev in namespace web")
}
