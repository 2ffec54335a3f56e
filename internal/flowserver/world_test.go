package flowserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/internal/flowserver"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/push"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/keep"
	"github.com/netpol-project/netpol/pkg/policy"
)

// world is a cluster without a cluster: what the API server would say is fixed.
type world struct {
	t   *testing.T
	dir string

	mu     sync.Mutex
	secret map[string][]byte
	bundle []byte
	nodes  []string
	// rights are "user verb resource namespace"; namespace * is all.
	rights  map[string]bool
	reviews atomic.Int64 // of tokens

	addr string // the server's, kept over restarts
	data string // where the server keeps flows; empty: nowhere
	stop func()
}

func newWorld(t *testing.T, nodes ...string) *world {
	w := &world{t: t, dir: t.TempDir(), nodes: nodes, rights: map[string]bool{}, addr: ownAddress()}
	w.start()
	t.Cleanup(func() { w.stop() })
	return w
}

// start starts a server, at the same address as the one before.
func (w *world) start() {
	w.t.Helper()
	var l net.Listener
	var err error
	for range 100 {
		if l, err = net.Listen("tcp", w.addr); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr = l.Addr().String()
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- flowserver.Run(ctx, flowserver.Options{
			Listen: l, HTTP: web, Namespace: relay.Namespace, Agents: relay.Agents,
			Vault: w, Reviewer: w, Expected: w, Pods: w, Limits: flow.DefaultLimits(), Data: w.data,
			Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
	}()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
		w.stop = func() {}
	}
	w.eventually("a CA", func() bool { w.mu.Lock(); defer w.mu.Unlock(); return w.bundle != nil })
}

// ownAddress is one that nobody else on this machine listens at or connects from,
// or another test's connection might have the port while a server restarts. Where
// there is but one loopback address, that has to do.
func ownAddress() string {
	n := mrand.Uint32()
	addr := fmt.Sprintf("127.%d.%d.%d:0", 1+n>>16%250, n>>8%256, 1+n%250)
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "127.0.0.1:0"
	}
	_ = l.Close()
	return addr
}

func (w *world) eventually(what string, f func() bool) {
	w.t.Helper()
	const patience = time.Minute // no test that passes depends on it
	for deadline := time.Now().Add(patience); !f(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not in %s", what, patience)
		}
	}
}

func (w *world) Load(context.Context) (map[string][]byte, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.secret), "", nil
}

func (w *world) Save(_ context.Context, data map[string][]byte, _ string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secret = maps.Clone(data)
	return nil
}

func (w *world) Publish(_ context.Context, bundle []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bundle = bundle
	return os.WriteFile(filepath.Join(w.dir, "ca.crt"), bundle, 0o600)
}

// forServer makes a token say that it is for the flows server.
func forServer(name string) string {
	payload := fmt.Sprintf(`{"aud":[%q],"sub":%q}`, relay.Audience, name)
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

// Token: "agent-NODE" is that node's agent's, "user-NAME" a user's. Those for the
// flows server are made by forServer.
func (w *world) Token(_ context.Context, token, audience string) (flowserver.User, bool, error) {
	w.reviews.Add(1)
	if parts := strings.Split(token, "."); len(parts) == 3 {
		var claims struct{ Sub string }
		raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(raw, &claims)
		token = claims.Sub
	}
	kind, name, _ := strings.Cut(token, "-")
	switch {
	case kind == "agent" && audience == relay.Audience:
		return flowserver.User{
			Name:  "system:serviceaccount:netpol-system:netpol-agent",
			Extra: map[string][]string{"authentication.kubernetes.io/node-name": {name}},
		}, true, nil
	case kind == "old" && audience == relay.Audience:
		return flowserver.User{
			Name:  "system:serviceaccount:netpol-system:netpol-agent",
			Extra: map[string][]string{"authentication.kubernetes.io/pod-name": {"agent-of-" + name}, "authentication.kubernetes.io/pod-uid": {"1"}},
		}, true, nil
	case kind == "sa" && audience == relay.Audience:
		return flowserver.User{Name: "system:serviceaccount:vote:" + name}, true, nil
	case kind == "user" && audience == "":
		return flowserver.User{Name: name}, true, nil
	case kind == "down":
		return flowserver.User{}, false, errors.New("the API server is away")
	}
	return flowserver.User{}, false, nil
}

func (w *world) Access(_ context.Context, u flowserver.User, a flowserver.Access) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what := a.Resource
	if a.Subresource != "" {
		what += "/" + a.Subresource
	}
	return w.rights[u.Name+" "+a.Verb+" "+what+" "+a.Namespace] || w.rights[u.Name+" "+a.Verb+" "+what+" *"], nil
}

func (w *world) allow(rights ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range rights {
		w.rights[r] = true
	}
}

func (w *world) Nodes() ([]string, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes, true
}

func (w *world) NodeOf(pod, uid string) (string, bool) {
	name, ok := strings.CutPrefix(pod, "agent-of-")
	return name, ok && uid == "1"
}

// dial is a connection as a user, whose token may be none.
func (w *world) dial(token string, more ...grpc.DialOption) *grpc.ClientConn {
	w.t.Helper()
	w.mu.Lock()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.bundle)
	w.mu.Unlock()
	opts := []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: relay.ServerName(relay.Namespace, relay.Service)}))}
	if token != "" {
		opts = append(opts, grpc.WithPerRPCCredentials(bearer(token)))
	}
	conn, err := grpc.NewClient("passthrough:///"+w.addr, append(opts, more...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}
func (bearer) RequireTransportSecurity() bool { return true }

// agent is one that enforces nothing.
type agent struct {
	agentpb.UnimplementedAgentServer
	node  string
	flows *flow.Aggregator
	store *keep.Store
	stop  func()

	mu       sync.Mutex
	revision uint64
	changed  chan struct{}
	awaited  int // how many calls have come to wait
	probes   []*agentpb.RegisterProbeRequest
	denies   *agentpb.DeniedReply
	cuts     *agentpb.WouldCutReply   // nil: it can't tell
	asked    *agentpb.WouldCutRequest // the last
}

// agent starts one.
func (w *world) agent(node string) *agent {
	return w.keeper(node, "")
}

// keeper starts an agent that keeps what it counts in a directory.
func (w *world) keeper(node, dir string) *agent {
	w.t.Helper()
	store := keep.Open(keep.Options{Dir: dir, Owner: node, Limits: flow.DefaultLimits()})
	store.Counts(node)
	a := &agent{node: node, flows: store.Flows(), store: store, changed: make(chan struct{})}
	token := filepath.Join(w.dir, "token-"+node)
	if err := os.WriteFile(token, []byte(forServer("agent-"+node)+"\n"), 0o600); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	p := push.New(push.Options{
		Node: node, Target: w.addr, CA: push.File(filepath.Join(w.dir, "ca.crt")), TokenFile: token,
		Log:  slog.New(slog.NewTextHandler(io.Discard, nil)),
		Pace: push.Pace{Flush: 5 * time.Millisecond, Status: 20 * time.Millisecond, Trust: 20 * time.Millisecond, LeastWait: 5 * time.Millisecond, MostWait: 50 * time.Millisecond},
	}, push.Local{
		Agent: a, Flows: a.flows, Store: store, Snapshot: func() *policy.Snapshot { return nil },
		Namespace: func(addr netip.Addr) (string, bool) { return "vote", addr.Is4() },
	})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	running := make(chan struct{})
	go func() {
		defer close(running)
		store.Run(ctx)
	}()
	a.stop = sync.OnceFunc(func() {
		cancel()
		<-done
		<-running
		_ = store.Close()
	})
	w.t.Cleanup(a.stop)
	return a
}

func (a *agent) Status(context.Context, *agentpb.StatusRequest) (*agentpb.StatusReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return &agentpb.StatusReply{Node: a.node, Ready: true, Enforcing: true, Revision: a.revision}, nil
}

func (a *agent) RegisterProbe(_ context.Context, r *agentpb.RegisterProbeRequest) (*agentpb.RegisterProbeReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.probes = append(a.probes, r)
	return &agentpb.RegisterProbeReply{}, nil
}

func (a *agent) Denied(context.Context, *agentpb.Tuple) (*agentpb.DeniedReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.denies != nil {
		return a.denies, nil
	}
	return &agentpb.DeniedReply{}, nil
}

// Await waits until the agent is told to program something.
func (a *agent) Await(ctx context.Context, _ *agentpb.AwaitRequest) (*agentpb.StatusReply, error) {
	a.mu.Lock()
	changed := a.changed
	a.awaited++
	a.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	case <-changed:
		return a.Status(ctx, nil)
	}
}

func (a *agent) isAwaited() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.awaited > 0
}

func (a *agent) program() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.revision++
	close(a.changed)
	a.changed = make(chan struct{})
}

func workload(namespace, name string) flow.Peer {
	return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: "Deployment", Namespace: namespace, Name: name}}
}

func tcp(src, dst flow.Peer, port uint16) flow.Key {
	allow := policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	return flow.Key{Source: src, Destination: dst, Protocol: policy.TCP, Port: port, Direction: policy.Egress, Enforced: allow, Pending: allow}
}

// connections sums up what a user sees.
func (w *world) connections(conn *grpc.ClientConn, namespaces ...string) (started, completed, live int64, c flow.Coverage) {
	w.t.Helper()
	flows, c, err := flow.NewClient(conn).List(w.t.Context(), flow.Filter{Namespaces: namespaces})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range flows {
		started += f.Connections
		completed += f.Completed
		live += f.Live
	}
	return started, completed, live, c
}

func code(t *testing.T, err error, want codes.Code, text string) {
	t.Helper()
	if status.Code(err) != want || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %v with %q", err, want, text)
	}
}

// line enrolls as a node's agent and connects, whatever is said then.
func (w *world) line(node string) relaypb.Relay_ConnectClient {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		w.t.Fatal(err)
	}
	reply, err := relaypb.NewRelayClient(w.dial("")).Enroll(w.t.Context(), &relaypb.EnrollRequest{Token: forServer("agent-" + node), Request: request})
	if err != nil {
		w.t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(w.bundle)
	conn, err := grpc.NewClient("passthrough:///"+w.addr, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		RootCAs: pool, ServerName: relay.ServerName(relay.Namespace, relay.Service),
		Certificates: []tls.Certificate{{Certificate: reply.GetChain(), PrivateKey: key}},
	})))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	stream, err := relaypb.NewRelayClient(conn).Connect(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return stream
}
