package flowserver

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
)

const (
	// probeWithin is how long a node's agent has to answer about a probe, and
	// maxProbeNodes how many a probe may name.
	probeWithin   = 5 * time.Second
	maxProbeNodes = 4
	// probeRate and probeBurst bound the probes of a user, a second and at once.
	probeRate, probeBurst = 200, 1000
)

// agentServer passes on what is asked about probes to the nodes that they name.
type agentServer struct {
	agentpb.UnimplementedAgentServer
	users        *users
	hub          *hub
	probes, cuts *rates[string] // by the user's name
}

func newAgentServer(u *users, h *hub) *agentServer {
	return &agentServer{users: u, hub: h, probes: newRates[string](probeRate, probeBurst), cuts: newRates[string](cutRate, cutBurst)}
}

// probing are the rights either of which lets a user probe from a namespace's
// pods: the one to put an ephemeral container into them, which probing takes
// anyway, or one of our own.
func probing(namespace string) []Access {
	return []Access{
		{Verb: "create", Group: "netpol.dev", Resource: "probes", Namespace: namespace},
		{Verb: "patch", Resource: "pods", Subresource: "ephemeralcontainers", Namespace: namespace},
	}
}

func (s *agentServer) mayProbe(ctx context.Context, namespace string, nodes []string) (*caller, error) {
	c, err := s.users.caller(ctx)
	if err != nil {
		return nil, err
	}
	if namespace == "" || len(nodes) == 0 || len(nodes) > maxProbeNodes {
		return nil, status.Errorf(codes.InvalidArgument, "a flows server needs the namespace of the source's pod and the nodes of both ends")
	}
	may, err := s.users.any(ctx, c, probing(namespace)...)
	if err == nil && !may {
		err = s.users.denied(c, fmt.Sprintf("create probes.netpol.dev (or patch pods/ephemeralcontainers) in namespace %s", namespace))
	}
	return c, err
}

// RegisterProbe implements agentpb.AgentServer: all nodes named have to know.
func (s *agentServer) RegisterProbe(ctx context.Context, r *agentpb.RegisterProbeRequest) (*agentpb.RegisterProbeReply, error) {
	c, err := s.mayProbe(ctx, r.GetNamespace(), r.GetNodes())
	if err != nil {
		return nil, err
	}
	if !s.probes.of(c.Name).Allow() {
		return nil, status.Errorf(codes.ResourceExhausted, "%s probes too much: %d a second at most", c.Name, probeRate)
	}
	_, err = s.each(ctx, r.GetNodes(), func() *relaypb.Command {
		return &relaypb.Command{Is: &relaypb.Command_RegisterProbe{RegisterProbe: r}}
	})
	return &agentpb.RegisterProbeReply{}, err
}

// Denied implements agentpb.AgentServer: the first denial of the nodes named, in
// their order.
func (s *agentServer) Denied(ctx context.Context, t *agentpb.Tuple) (*agentpb.DeniedReply, error) {
	if _, err := s.mayProbe(ctx, t.GetNamespace(), t.GetNodes()); err != nil {
		return nil, err
	}
	replies, err := s.each(ctx, t.GetNodes(), func() *relaypb.Command {
		return &relaypb.Command{Is: &relaypb.Command_Denied{Denied: t}}
	})
	for _, r := range replies {
		if r.GetDenied().GetDenied() {
			return r.GetDenied(), nil // also if the other end does not answer
		}
	}
	return &agentpb.DeniedReply{}, err
}

// each asks some nodes at once. Replies of nodes that failed are nil; the error
// is of the first of these.
func (s *agentServer) each(ctx context.Context, nodes []string, command func() *relaypb.Command) ([]*relaypb.Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	nodes = slices.Compact(slices.Clone(nodes))
	replies, errs := make([]*relaypb.Reply, len(nodes)), make([]error, len(nodes))
	var all sync.WaitGroup
	for i, name := range nodes {
		all.Go(func() {
			l, _ := s.hub.lineOf(name)
			if l == nil {
				errs[i] = errNoLine
				return
			}
			replies[i], errs[i] = l.ask(ctx, command())
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			return replies, status.Errorf(status.Code(err), "node %.253s: %s", nodes[i], status.Convert(err).Message())
		}
	}
	return replies, nil
}

// Status implements agentpb.AgentServer.
func (s *agentServer) Status(context.Context, *agentpb.StatusRequest) (*agentpb.StatusReply, error) {
	return nil, errManyNodes
}

// Sync implements agentpb.AgentServer.
func (s *agentServer) Sync(context.Context, *agentpb.SyncRequest) (*agentpb.StatusReply, error) {
	return nil, errManyNodes
}

// Await implements agentpb.AgentServer.
func (s *agentServer) Await(context.Context, *agentpb.AwaitRequest) (*agentpb.StatusReply, error) {
	return nil, errManyNodes
}

// TellPlugin implements agentpb.AgentServer: it is for who is on the node.
func (s *agentServer) TellPlugin(context.Context, *agentpb.PluginStatus) (*agentpb.TellPluginReply, error) {
	return nil, errManyNodes
}

// AwaitPod implements agentpb.AgentServer: it is for a CNI plugin on the node.
func (s *agentServer) AwaitPod(context.Context, *agentpb.AwaitPodRequest) (*agentpb.AwaitPodReply, error) {
	return nil, errManyNodes
}

// ForgetPod implements agentpb.AgentServer.
func (s *agentServer) ForgetPod(context.Context, *agentpb.ForgetPodRequest) (*agentpb.ForgetPodReply, error) {
	return nil, errManyNodes
}

var errManyNodes = status.Error(codes.Unimplemented, "a flows server speaks for many nodes: call netpol.agent.v1.Nodes instead")
