//go:build linux

package enforce

import (
	"context"
	"net/netip"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Await implements agentpb.AgentServer.
func (s *server) Await(ctx context.Context, r *agentpb.AwaitRequest) (*agentpb.StatusReply, error) {
	for _, c := range r.Changes {
		if c.Kind == "" || c.Name == "" {
			return nil, status.Errorf(codes.InvalidArgument, "a change without kind or name: %v", c)
		}
	}
	for {
		state, changed := s.a.inForce()
		if state.Snapshot != nil && state.Versions == nil {
			return s.Sync(ctx, &agentpb.SyncRequest{}) // a directory numbers no changes
		}
		if includes(state, r.Changes) {
			return s.a.status(), nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

// AwaitPod implements agentpb.AgentServer.
func (s *server) AwaitPod(ctx context.Context, r *agentpb.AwaitPodRequest) (*agentpb.AwaitPodReply, error) {
	what := &announced{namespace: r.Namespace, name: r.Name, until: s.a.opts.Now().Add(announceLife)}
	for _, text := range r.Addresses {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" {
			return nil, status.Errorf(codes.InvalidArgument, "%q is no address", text)
		}
		what.addrs = append(what.addrs, addr.Unmap())
	}
	if r.Namespace == "" || r.Name == "" || r.Container == "" || len(what.addrs) == 0 {
		return nil, status.Error(codes.InvalidArgument, "namespace, name, container and addresses are needed")
	}
	if r.TimeoutMilliseconds > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.TimeoutMilliseconds)*time.Millisecond)
		defer cancel()
	}
	if !s.a.announced.put(r.Container, what, s.a.opts.Now()) {
		return nil, status.Errorf(codes.ResourceExhausted, "the agent was told of %d pods that the API server does not know", maxAnnounced)
	}
	for {
		_, changed := s.a.inForce()
		done, why := s.a.placed(what)
		if done {
			return &agentpb.AwaitPodReply{}, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, status.Error(codes.DeadlineExceeded, why)
		}
	}
}

// ForgetPod implements agentpb.AgentServer.
func (s *server) ForgetPod(_ context.Context, r *agentpb.ForgetPodRequest) (*agentpb.ForgetPodReply, error) {
	s.a.announced.forget(r.Container)
	return &agentpb.ForgetPodReply{}, nil
}

// includes says whether a state has all changes in it.
func includes(s cluster.State, changes []*agentpb.Written) bool {
	for _, c := range changes {
		if !s.Has(policy.Key{Kind: policy.Kind(c.Kind), Namespace: c.Namespace, Name: c.Name}, c.Version, c.Deleted) {
			return false
		}
	}
	return s.Snapshot != nil
}
