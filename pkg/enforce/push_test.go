//go:build linux

package enforce_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/netpol-project/netpol/internal/flowserver"
	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/enforce/push"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// hub is a flows server in the test's own process, and what an API server would
// tell it: everybody may everything.
type hub struct {
	dir    string
	secret map[string][]byte
	conn   *grpc.ClientConn
	certs  atomic.Int64 // that agents asked for
}

// agentToken says that it is for the flows server ({"aud":["netpol-flows"]}), and
// the hub takes it for the node's agent's.
const agentToken = "e30.eyJhdWQiOlsibmV0cG9sLWZsb3dzIl19.c2ln"

func (h *hub) Load(context.Context) (map[string][]byte, string, error) { return h.secret, "", nil }
func (h *hub) Save(_ context.Context, data map[string][]byte, _ string) error {
	h.secret = data
	return nil
}
func (h *hub) Publish(_ context.Context, bundle []byte) error {
	return os.WriteFile(filepath.Join(h.dir, "ca.crt"), bundle, 0o600)
}
func (h *hub) Token(_ context.Context, token, audience string) (flowserver.User, bool, error) {
	if audience != relay.Audience {
		return flowserver.User{Name: "user"}, true, nil
	}
	h.certs.Add(1)
	return flowserver.User{
		Name:  "system:serviceaccount:netpol-system:netpol-agent",
		Extra: map[string][]string{"authentication.kubernetes.io/node-name": {nodeName}},
	}, token == agentToken, nil
}
func (h *hub) Access(context.Context, flowserver.User, flowserver.Access) (bool, error) {
	return true, nil
}
func (h *hub) Nodes() ([]string, bool)              { return []string{nodeName}, true }
func (h *hub) NodeOf(string, string) (string, bool) { return "", false }

// startHub serves at the node's own address, which a Service has in the
// manifests as its cluster address. Its clock may be late.
func (n *node) startHub(late time.Duration) *hub {
	n.t.Helper()
	h := &hub{dir: n.t.TempDir()}
	listen, err := net.Listen("tcp", net.JoinHostPort(hostAddrs[0].String(), "0"))
	n.must(err)
	web, err := net.Listen("tcp", "127.0.0.1:0")
	n.must(err)
	port := listen.Addr().(*net.TCPAddr).Port
	n.write("netpol-flows", fmt.Sprintf(`apiVersion: v1
kind: Namespace
metadata: {name: netpol-system}
---
apiVersion: v1
kind: Service
metadata: {name: netpol-flows, namespace: netpol-system}
spec: {clusterIP: %s, ports: [{name: flows, port: %d, protocol: TCP}]}
`, hostAddrs[0], port))
	n.must(os.WriteFile(filepath.Join(h.dir, "token"), []byte(agentToken), 0o600))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- flowserver.Run(ctx, flowserver.Options{
			Listen: listen, HTTP: web, Namespace: relay.Namespace, Agents: relay.Agents,
			Vault: h, Reviewer: h, Expected: h, Pods: h, Limits: flow.DefaultLimits(), Log: slog.New(slog.NewTextHandler(n.t.Output(), nil)),
			Now: func() time.Time { return time.Now().Add(-late) },
		})
	}()
	n.t.Cleanup(func() {
		cancel()
		n.must(<-done)
	})
	var bundle []byte
	await(n.t, "the authority", func() bool {
		bundle, err = os.ReadFile(filepath.Join(h.dir, "ca.crt"))
		return err == nil && len(bundle) > 0
	})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(bundle)
	h.conn, err = grpc.NewClient(listen.Addr().String(), grpc.WithPerRPCCredentials(userToken{}),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, ServerName: relay.ServerName(relay.Namespace, relay.Service)})))
	n.must(err)
	n.t.Cleanup(func() { _ = h.conn.Close() })
	return h
}

type userToken struct{}

func (userToken) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer mine"}, nil
}
func (userToken) RequireTransportSecurity() bool { return true }

// tells makes an agent push.
func (h *hub) tells(o *enforce.Options) {
	o.Push = &push.Options{
		Node: o.Node, Target: "netpol-system/netpol-flows", CA: push.File(filepath.Join(h.dir, "ca.crt")),
		TokenFile: filepath.Join(h.dir, "token"), Log: o.Log, Pace: push.Pace{Flush: 50 * time.Millisecond},
	}
}

// What the agent counts is at the flows server, which tells when a change is in
// its kernel and marks probes.
func TestTellsTheFlowsServer(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", open8080)
		h := n.startHub(0)
		api := n.apiSource()
		api.tell()
		a := n.start(func(o *enforce.Options) { o.Source = api; h.tells(o) })
		nodes := agentpb.NewNodesClient(h.conn)
		await(t, "the agent's line", func() bool {
			r, err := nodes.List(t.Context(), &agentpb.NodesRequest{})
			return err == nil && len(r.GetNodes()) == 1 && r.GetNodes()[0].GetStatus().GetEnforcing()
		})
		n.burst(client, server, 200)
		told := &agent{t: t, flows: flow.NewClient(h.conn)}
		for _, dir := range []policy.Direction{policy.Egress, policy.Ingress} {
			await(t, "the burst to be told", func() bool { return counted(told, client, server, dir, flow.Filter{}).Connections == 200 })
		}
		if own, there := a.list(flow.Filter{}), told.list(flow.Filter{}); len(own) != len(there) {
			t.Errorf("%d flows at the agent, %d at the flows server", len(own), len(there))
		}

		stream, err := nodes.Await(t.Context(), &agentpb.AwaitRequest{
			Changes:             []*agentpb.Written{{Kind: "NetworkPolicy", Namespace: namespace, Name: "server", Version: fmt.Sprint(api.version + 1)}},
			TimeoutMilliseconds: 10_000,
		})
		n.must(err)
		if first, err := stream.Recv(); err != nil || first.GetOf() != 1 {
			t.Fatal(first, err)
		}
		n.policy("server", `{selector: app == 'server', types: [Ingress], ingress: [{action: Allow, protocol: TCP, destination: {ports: [9]}}]}`)
		api.tell()
		if r, err := stream.Recv(); err != nil || !r.GetDone() || r.GetNode() != nodeName || !r.GetStatus().GetEnforcing() {
			t.Fatal(r, err)
		}

		probe := &agentpb.RegisterProbeRequest{
			Protocol: 6, SourceAddress: client.addrs[0].String(), SourcePort: 4000, ValidMilliseconds: 1000, Nodes: []string{nodeName}, Namespace: namespace,
		}
		users := agentpb.NewAgentClient(h.conn)
		if _, err := users.RegisterProbe(t.Context(), probe); err != nil {
			t.Error(err)
		}
		probe.Namespace = "other"
		if _, err := users.RegisterProbe(t.Context(), probe); err == nil {
			t.Error("a probe from another namespace's pod is registered")
		}
		a.agreed()
	})
}

// A certificate ends, here within seconds as the server's clock is late by
// nearly the day that it is good for. The agent has another one by then, and
// nothing that it counts is lost or told twice.
func TestTellsAcrossTheEndOfItsCertificate(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", open8080)
		h := n.startHub(24*time.Hour - 6*time.Second)
		api := n.apiSource()
		api.tell()
		n.start(func(o *enforce.Options) { o.Source = api; h.tells(o) })
		told := &agent{t: t, flows: flow.NewClient(h.conn)}
		bursts := 0
		await(t, "a second certificate", func() bool {
			n.burst(client, server, 20)
			bursts++
			return h.certs.Load() >= 2
		})
		n.burst(client, server, 20)
		bursts++
		for _, dir := range []policy.Direction{policy.Egress, policy.Ingress} {
			await(t, "everything to be told once", func() bool {
				return counted(told, client, server, dir, flow.Filter{}).Connections == int64(20*bursts)
			})
		}
	})
}
