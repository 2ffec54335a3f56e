//go:build linux

package enforce_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// apiSource is a source that tells when it is told to, as an API server that
// may be out of reach: what the directory holds when tell is called is its
// state, at a version.
type apiSource struct {
	t   testing.TB
	dir *cluster.Dir

	mu      sync.Mutex
	state   cluster.State
	version int
	watches []chan cluster.State
	reloads int
}

func (n *node) apiSource() *apiSource {
	n.t.Helper()
	dir, err := cluster.OpenDir(n.dir)
	n.must(err)
	return &apiSource{t: n.t, dir: dir, version: 100}
}

// tell sends the directory's state to all who watch, and returns its version.
func (s *apiSource) tell() string {
	s.t.Helper()
	if _, err := s.dir.Reload(context.Background()); err != nil {
		s.t.Fatal(err)
	}
	snap, faults, err := s.dir.Snapshot(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	version := strconv.Itoa(s.version)
	s.state = cluster.State{Snapshot: snap, Faults: faults, Versions: &cluster.Versions{Seen: map[policy.Kind]string{
		policy.KindNetworkPolicy: version, policy.KindPod: version,
	}}}
	for _, w := range s.watches {
		send(w, s.state)
	}
	return version
}

func send(w chan cluster.State, s cluster.State) {
	select {
	case <-w:
	default:
	}
	w <- s
}

// Watch implements enforce.Source: it says nothing before there is a state.
func (s *apiSource) Watch(context.Context) (<-chan cluster.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := make(chan cluster.State, 1)
	if s.state.Snapshot != nil {
		w <- s.state
	}
	s.watches = append(s.watches, w)
	return w, nil
}

// Reload implements enforce.Source.
func (s *apiSource) Reload(context.Context) (cluster.State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reloads++
	return s.state, nil
}

// reloaded is how often all was listed anew.
func (s *apiSource) reloaded() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reloads
}

// farSource can't be listed: its API server is out of reach.
type farSource struct{ *apiSource }

// Reload implements enforce.Source.
func (farSource) Reload(ctx context.Context) (cluster.State, error) {
	<-ctx.Done()
	return cluster.State{}, ctx.Err()
}

// Who asks for a Sync that can't be done now holds up what is told by watches for
// as long as it waits itself, and no longer.
func TestSyncEndsWithWhoAsked(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.listenOnce(server, serverPort)
		api := n.apiSource()
		api.tell()
		a := n.start(func(o *enforce.Options) { o.Source = farSource{api} })
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := a.Sync(ctx, &agentpb.SyncRequest{}); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("a Sync without an API server: %v", err)
		}
		n.policy("server", shut8080)
		n.await(a, &agentpb.Written{Kind: "NetworkPolicy", Namespace: namespace, Name: "server", Version: api.tell()})
		if got := a.try(client, server, 0, serverPort); got != denied {
			t.Errorf("what was written after it: %s, want %s", got, denied)
		}
	})
}
