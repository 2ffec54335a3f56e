package flowserver

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
)

// nodesServer answers for all nodes.
type nodesServer struct {
	agentpb.UnimplementedNodesServer
	users   *users
	hub     *hub
	version string
	awaits  *slots
}

// List implements agentpb.NodesServer. What agents say of themselves names
// resources of all namespaces.
func (s *nodesServer) List(ctx context.Context, _ *agentpb.NodesRequest) (*agentpb.NodesReply, error) {
	c, err := s.users.caller(ctx)
	if err != nil {
		return nil, err
	}
	may, err := s.users.may(ctx, c, listFlows(""))
	if err == nil && !may {
		err = s.users.denied(c, "list flows.netpol.dev in all namespaces")
	}
	if err != nil {
		return nil, err
	}
	nodes, err := s.hub.list()
	return &agentpb.NodesReply{Nodes: nodes, Version: s.version, Warnings: s.hub.store.Warnings()}, err
}

const (
	// maxAwait bounds how long a call may wait, and maxChanges for how much.
	maxAwait   = 10 * time.Minute
	maxChanges = 1000
	// maxAwaitsEach and maxAwaits bound how many calls of a user, and of all,
	// wait at once. Each is a command to every node, whose line has room for
	// others beside.
	maxAwaitsEach, maxAwaits = 32, maxPending * 3 / 4
)

// Await implements agentpb.NodesServer.
func (s *nodesServer) Await(r *agentpb.AwaitRequest, stream agentpb.Nodes_AwaitServer) error {
	c, err := s.users.caller(stream.Context())
	if err != nil {
		return err
	}
	if !s.awaits.take(c.Name) {
		return status.Errorf(codes.ResourceExhausted, "too many calls wait for changes (%d of one user, %d in all, at most)", maxAwaitsEach, maxAwaits)
	}
	defer s.awaits.free(c.Name)
	if err := s.mayAwait(stream.Context(), c, r.GetChanges()); err != nil {
		return err
	}
	nodes, err := s.hub.list()
	if err != nil {
		return err
	}
	if err := stream.Send(&agentpb.NodeReply{Of: int32(len(nodes))}); err != nil { //nolint:gosec // maxNodes
		return err
	}
	limit := maxAwait
	if ms := r.GetTimeoutMilliseconds(); ms > 0 {
		limit = min(limit, time.Duration(min(ms, maxAwait.Milliseconds()))*time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(stream.Context(), limit)
	defer cancel()
	done := make(chan *agentpb.NodeReply)
	g := &errgroup.Group{}
	for _, n := range nodes {
		g.Go(func() error {
			reply := s.hub.await(ctx, n.GetNode(), r)
			select {
			case done <- reply:
			case <-stream.Context().Done():
			}
			return nil
		})
	}
	for range nodes {
		select {
		case reply := <-done:
			if err = stream.Send(reply); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		}
	}
	return g.Wait()
}

// await waits for one node, over as many lines as it takes.
func (h *hub) await(ctx context.Context, name string, r *agentpb.AwaitRequest) *agentpb.NodeReply {
	out := &agentpb.NodeReply{Node: name}
	for {
		l, changed := h.lineOf(name)
		if out.Connected = l != nil; l == nil {
			out.Problem = status.Convert(errNoLine).Message()
		} else {
			reply, err := l.ask(ctx, &relaypb.Command{Is: &relaypb.Command_Await{Await: r}})
			code := status.Code(err)
			switch {
			case err == nil:
				out.Done, out.Problem = true, ""
				out.Status = &agentpb.StatusReply{
					Node: name, Revision: reply.GetStatus().GetRevision(),
					Ready: reply.GetStatus().GetReady(), Enforcing: reply.GetStatus().GetEnforcing(),
				}
				return out
			case code == codes.DeadlineExceeded || code == codes.Canceled:
				out.Problem = "it has not programmed the change in time"
				if ctx.Err() != nil {
					return out
				}
			case code == codes.Unavailable:
				out.Problem = status.Convert(err).Message()
			default:
				out.Problem = status.Convert(err).Message()
				return out
			}
		}
		select {
		case <-ctx.Done():
			return out
		case <-changed:
		}
	}
}
