// Package flowserver is where the agents of a cluster and its users meet: agents
// push what they count and say how they are, users read it by their own rights,
// and what users ask of a node is passed on to its agent.
//
// It keeps what it has counted in a directory, if it has one. An agent sends all
// that it has to a server that has begun anew. It knows no Kubernetes client: who somebody is, which
// nodes there are and where the authority is kept are handed in.
package flowserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/flow/keep"
)

// Options say what a server works with.
type Options struct {
	// Listen is where agents and users come to, HTTP health and metrics; both
	// are the caller's to make, and are closed.
	Listen, HTTP net.Listener
	// Namespace is the server's own.
	Namespace string
	// Agents is the name of the agents' ServiceAccount there.
	Agents   string
	Vault    Vault
	Reviewer Reviewer
	Expected Expected
	Pods     Pods
	// Limits bound the flows that are kept.
	Limits flow.Limits
	// Data is the directory that they are kept in; empty: in memory alone.
	Data string
	// Version of the program, for status.
	Version string
	Log     *slog.Logger
	Now     func() time.Time
}

// The bounds of what one caller may make the server do.
const (
	maxRequest = 64 << 10 // bytes, of users
	maxStreams = 250      // at once on one connection
	// Enrolments a second and at once, from one address and in total.
	enrollRate, enrollBurst       = 1, 20
	allEnrollRate, allEnrollBurst = 50, 1000
)

// commitPace is how long after a commit the next one comes at the earliest: what
// all agents tell meanwhile is written together.
const commitPace = 100 * time.Millisecond

// Server is a flows server.
type Server struct {
	opts    Options
	hub     *hub
	keeper  *keeper
	metrics *metrics
	ready   atomic.Bool
}

// Run serves until ctx ends.
func Run(ctx context.Context, opts Options) error {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	s := &Server{opts: opts, metrics: &metrics{}}
	store := keep.Open(keep.Options{Dir: opts.Data, Owner: "flows server of " + opts.Namespace, Limits: opts.Limits, Log: opts.Log, Now: opts.Now, Pace: commitPace, Retold: true})
	s.hub = newHub(store, opts.Expected, opts.Now, s.metrics)
	s.keeper = &keeper{vault: opts.Vault, namespace: opts.Namespace, now: opts.Now, log: opts.Log}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.serveHTTP(ctx) })
	g.Go(func() error { return s.serveGRPC(ctx) })
	g.Go(func() error { store.Run(ctx); return nil })
	err := g.Wait()
	if cerr := store.Close(); cerr != nil {
		opts.Log.Error("the last flows are not kept", "error", cerr)
	}
	if err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled)) {
		return err
	}
	return nil
}

// serveGRPC has the authority first: without it nobody could be answered.
func (s *Server) serveGRPC(ctx context.Context) error {
	defer s.opts.Listen.Close()
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		err := s.keeper.refresh(ctx)
		if err == nil {
			break
		}
		s.opts.Log.Error("no certificates yet", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
	}
	server := s.services()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { s.keeper.run(ctx); return nil })
	g.Go(func() error {
		<-ctx.Done()
		s.ready.Store(false)
		server.Stop()
		return nil
	})
	s.ready.Store(true)
	s.opts.Log.Info("serving", "address", s.opts.Listen.Addr().String())
	g.Go(func() error {
		if err := server.Serve(s.opts.Listen); err != nil && ctx.Err() == nil {
			return fmt.Errorf("serve %s: %w", s.opts.Listen.Addr(), err)
		}
		return nil
	})
	return g.Wait()
}

// services are all that the server answers.
func (s *Server) services() *grpc.Server {
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(s.keeper.config())),
		grpc.MaxRecvMsgSize(relay.MaxMessage), grpc.MaxConcurrentStreams(maxStreams),
		grpc.ConnectionTimeout(20*time.Second),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 15 * time.Second}),
		grpc.UnaryInterceptor(bounded), grpc.StreamInterceptor(boundedStream),
	)
	who := newUsers(s.opts.Reviewer, s.opts.Now, s.metrics)
	relaypb.RegisterRelayServer(server, &relayServer{
		hub: s.hub, keeper: s.keeper, reviewer: s.opts.Reviewer, pods: s.opts.Pods,
		account: "system:serviceaccount:" + s.opts.Namespace + ":" + s.opts.Agents,
		enrolls: newRates[netip.Addr](enrollRate, enrollBurst), all: rate.NewLimiter(allEnrollRate, allEnrollBurst), metrics: s.metrics, log: s.opts.Log,
	})
	flowpb.RegisterFlowsServer(server, flow.NewServerFor(s.hub.flows, s.opts.Now, &views{users: who, hub: s.hub, turns: newTurns(maxListsEach, maxListsWaiting)}))
	agentpb.RegisterAgentServer(server, newAgentServer(who, s.hub))
	agentpb.RegisterNodesServer(server, &nodesServer{
		users: who, hub: s.hub, version: s.opts.Version, awaits: newSlots(maxAwaitsEach, maxAwaits),
	})
	return server
}

// serveHTTP answers probes and Prometheus, also while there are no certificates.
func (s *Server) serveHTTP(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if _, ok := s.opts.Expected.Nodes(); !ok || !s.ready.Load() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) { s.writeMetrics(w) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(s.opts.HTTP); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve %s: %w", s.opts.HTTP.Addr(), err)
	}
	return nil
}
