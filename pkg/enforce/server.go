//go:build linux

package enforce

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// serve answers on the agent's socket until ctx ends. Only the user that runs
// the agent may connect: the socket's directory and mode say so.
func (a *Agent) serve(ctx context.Context) error {
	l, err := listen(a.opts.Socket)
	if err != nil {
		return err
	}
	s := grpc.NewServer()
	agentpb.RegisterAgentServer(s, &server{a: a})
	flowpb.RegisterFlowsServer(s, flow.NewServer(a.flows, a.opts.Now))
	stop := context.AfterFunc(ctx, s.Stop)
	defer stop()
	if err := s.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) && ctx.Err() == nil {
		return fmt.Errorf("serve %s: %w", a.opts.Socket, err)
	}
	return nil
}

// listen takes the socket's path over from an agent that died.
func listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.RemoveAll(tmp); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", tmp)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	// Renamed into place, so that there is no moment at which a client finds
	// a socket that anybody may write to, or none.
	if err := errors.Join(os.Chmod(tmp, 0o600), os.Rename(tmp, path)); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// server is the Agent service.
type server struct {
	agentpb.UnimplementedAgentServer
	a *Agent
}

// Status implements agentpb.AgentServer.
func (s *server) Status(context.Context, *agentpb.StatusRequest) (*agentpb.StatusReply, error) {
	return s.a.status(), nil
}

// Sync implements agentpb.AgentServer.
func (s *server) Sync(ctx context.Context, _ *agentpb.SyncRequest) (*agentpb.StatusReply, error) {
	r := syncRequest{ctx: ctx, done: make(chan error, 1)}
	select {
	case s.a.syncs <- r:
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	select {
	case err := <-r.done:
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return s.a.status(), nil
}

// RegisterProbe implements agentpb.AgentServer.
func (s *server) RegisterProbe(_ context.Context, r *agentpb.RegisterProbeRequest) (*agentpb.RegisterProbeReply, error) {
	src, err := sourceOf(r.Protocol, r.SourceAddress, r.SourcePort)
	if err != nil {
		return nil, err
	}
	life := time.Duration(r.ValidMilliseconds) * time.Millisecond
	if life <= 0 || life > maxProbeLife {
		return nil, status.Errorf(codes.InvalidArgument, "valid_milliseconds %d: must be from 1 to %d", r.ValidMilliseconds, maxProbeLife.Milliseconds())
	}
	if err := s.a.probes.register(src, life); err != nil {
		return nil, status.Error(codes.ResourceExhausted, err.Error())
	}
	// A port comes round again: the answer must be about this connection.
	s.a.refusals.forget(src)
	return &agentpb.RegisterProbeReply{}, nil
}

// Denied implements agentpb.AgentServer.
func (s *server) Denied(_ context.Context, t *agentpb.Tuple) (*agentpb.DeniedReply, error) {
	src, err := sourceOf(t.Protocol, t.SourceAddress, t.SourcePort)
	if err != nil {
		return nil, err
	}
	what, ok := s.a.refusals.find(src)
	if !ok {
		return &agentpb.DeniedReply{}, nil
	}
	return &agentpb.DeniedReply{
		Denied: true, Direction: what.direction.String(), Tier: what.hit.Tier,
		Kind: string(what.hit.Policy.Kind), Namespace: what.hit.Policy.Namespace, Name: what.hit.Policy.Name,
		Rule: int32(what.hit.Rule),
	}, nil
}

func sourceOf(protocol uint32, addr string, port uint32) (source, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil || protocol == 0 || protocol > 255 || port > 65535 {
		return source{}, status.Errorf(codes.InvalidArgument, "not a source: protocol %d, address %q, port %d", protocol, addr, port)
	}
	return source{policy.Protocol(protocol), ip.Unmap(), uint16(port)}, nil
}

// status gathers what the agent knows of itself.
func (a *Agent) status() *agentpb.StatusReply {
	out := &agentpb.StatusReply{
		Node: a.opts.Node, Version: a.opts.Version, Ready: a.ready.Load(),
		Disagreements: a.counters.disagreements.Load(), Repairs: a.counters.repairs.Load(),
		CutConnections:     a.counters.cut.Load(),
		LastProgramSeconds: time.Duration(a.counters.lastProgram.Load()).Seconds(),
		Resyncs:            a.kernel.Stats().Resyncs,
	}
	seen := a.flows.Coverage(flow.Filter{}, a.opts.Now())
	out.LostEvents, out.LostUnknown = uint64(seen.Lost), seen.LostUnknown
	if p := a.problems.Load(); p != nil {
		out.Problems = slices.Clone(*p)
	}
	for _, why := range a.waiting() {
		if out.Ready {
			why = "warning: what is in force may be old: " + why
		}
		out.Problems = append(out.Problems, why)
	}
	out.Problems = append(out.Problems, a.unkept()...)
	if a.opts.ExpectPlugin {
		out.Plugin = a.plugin.status(a.opts.Now())
		if why := a.plugin.problem(a.opts.Now()); why != "" {
			out.Problems = append(out.Problems, why)
		}
	}
	out.Problems = append(out.Problems, a.trials.problems()...)
	unreached := a.unreached()
	out.Problems = append(out.Problems, unreached...)
	out.Problems = append(out.Problems, fullness(a.fill.Load())...)
	if r, ok := a.history.latest(); ok {
		snap := r.model.Snapshot()
		out.Revision, out.Policies = snap.Revision, int64(len(snap.Policies))
		out.Endpoints = a.countLocal(snap)
	}
	p := a.places.Load()
	out.Enforcing = out.Ready && !a.behind.Load() && p != nil && len(p.bridged)+len(unreached) == 0 && !a.deafBridge.Load() && !a.strange()
	return out
}

// localCount is how many endpoints of a snapshot are this node's.
type localCount struct {
	snap *policy.Snapshot
	n    int64
}

// countLocal counts once for each snapshot: a flows server is told the status
// every second that it changes in.
func (a *Agent) countLocal(snap *policy.Snapshot) int64 {
	if c := a.counted.Load(); c != nil && c.snap == snap {
		return c.n
	}
	c := &localCount{snap: snap}
	for _, ep := range snap.Endpoints {
		if ep.Node == a.opts.Node {
			c.n++
		}
	}
	a.counted.Store(c)
	return c.n
}

// unkept says what is wrong with the store.
func (a *Agent) unkept() (out []string) {
	for _, w := range a.store.Warnings() {
		out = append(out, "warning: "+w)
	}
	return out
}
