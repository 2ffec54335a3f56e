package reach

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"

	"github.com/netpol-project/netpol/internal/cluster/review"
	"github.com/netpol-project/netpol/internal/flowserver"
	"github.com/netpol-project/netpol/pkg/flow"
)

// api is what a flows server and its users see of an API server, with a real
// flows server behind a forwarded port.
type api struct {
	t      *testing.T
	flows  string // host:port
	agents []string

	mu     sync.Mutex
	secret map[string][]byte
	bundle string
	tokens int // made of the reader
	forbid string
	ready  bool
}

func (a *api) Load(context.Context) (map[string][]byte, string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.secret, "", nil
}

func (a *api) Save(_ context.Context, data map[string][]byte, _ string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.secret = data
	return nil
}

func (a *api) Publish(_ context.Context, bundle []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bundle = string(bundle)
	return nil
}

func (a *api) Token(_ context.Context, token, _ string) (flowserver.User, bool, error) {
	return flowserver.User{Name: "user of " + token}, token == "mine" || token == "reader", nil
}

func (a *api) Access(_ context.Context, u flowserver.User, _ flowserver.Access) (bool, error) {
	return u.Name == "user of reader", nil
}

func (a *api) Nodes() ([]string, bool)              { return a.agents, true }
func (a *api) NodeOf(string, string) (string, bool) { return "", false }

const core = "/api/v1/namespaces/netpol-system/"

func (a *api) may(what string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.forbid != what
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == core+"pods/netpol-flows-1/portforward" && a.may("pods/") {
		a.forward(w, r)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	what, ok := strings.CutPrefix(r.URL.Path, core)
	if !ok || a.forbid != "" && strings.HasPrefix(what, a.forbid) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"kind":"Status","status":"Failure","reason":"Forbidden","code":403,"message":"%s is forbidden"}`, what)
		return
	}
	switch {
	case what == "configmaps/netpol-flows-ca":
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]string{"ca.crt": a.bundle}})
	case what == "pods" && a.ready:
		fmt.Fprint(w, `{"items":[
			{"metadata":{"name":"netpol-flows-0","deletionTimestamp":"2026-01-01T00:00:00Z"},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}},
			{"metadata":{"name":"netpol-flows-1"},"spec":{"containers":[{"ports":[{"name":"flows","containerPort":7443}]}]},"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}]}`)
	case what == "pods":
		fmt.Fprint(w, `{"items":[{"metadata":{"name":"netpol-flows-1"},"status":{"phase":"Pending"}}]}`)
	case what == "serviceaccounts/netpol-flows-reader/token":
		a.tokens++
		fmt.Fprintf(w, `{"status":{"token":"reader","expirationTimestamp":%q}}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}
}

// forward is the kubelet's end.
func (a *api) forward(w http.ResponseWriter, r *http.Request) {
	if _, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"}); err != nil {
		return
	}
	streams := make(chan httpstream.Stream, 2)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error { streams <- s; return nil })
	if conn == nil {
		return
	}
	defer conn.Close()
	<-streams // of errors
	data := <-streams
	back, err := net.Dial("tcp", a.flows)
	if err != nil {
		a.t.Error(err)
		return
	}
	defer back.Close()
	go func() { _, _ = io.Copy(back, data) }()
	go func() { _, _ = io.Copy(data, back); _ = conn.Close() }()
	<-conn.CloseChan()
}

// start starts a flows server and an API server before it.
func start(t *testing.T) (*api, *rest.Config) {
	t.Helper()
	a := &api{t: t, ready: true}
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a.flows = listen.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- flowserver.Run(ctx, flowserver.Options{
			Listen: listen, HTTP: web, Namespace: "netpol-system", Agents: "netpol-agent", Vault: a, Reviewer: a, Expected: a, Pods: a,
			Limits: flow.DefaultLimits(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		})
	}()
	server := httptest.NewServer(a)
	t.Cleanup(func() {
		server.CloseClientConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		a.mu.Lock()
		published := a.bundle != ""
		a.mu.Unlock()
		if published {
			return a, &rest.Config{Host: server.URL}
		}
		if time.Now().After(deadline) {
			t.Fatal("no CA")
		}
	}
}

func TestDialWithTheUsersToken(t *testing.T) {
	a, config := start(t)
	config.BearerToken = "mine"
	conn, err := Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _, err = flow.NewClient(conn).List(t.Context(), flow.Filter{Namespaces: []string{"vote"}})
	if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "user of mine may not list flows.netpol.dev in namespace vote") {
		t.Error(err)
	}
	if a.tokens != 0 {
		t.Error("a token was made for a user who has one")
	}
}

func TestDialWithoutAToken(t *testing.T) {
	a, config := start(t)
	conn, err := Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 2 {
		if _, _, err := flow.NewClient(conn).List(t.Context(), flow.Filter{}); err != nil {
			t.Error(err)
		}
	}
	if a.tokens != 1 {
		t.Errorf("%d tokens were made, one lasts an hour", a.tokens)
	}
}

func TestDialTrustsThePublishedAuthorityAlone(t *testing.T) {
	a, config := start(t)
	b, _ := start(t)
	config.BearerToken = "mine"
	a.mu.Lock()
	a.bundle = b.bundle
	a.mu.Unlock()
	conn, err := Dial(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, _, err = flow.NewClient(conn).List(t.Context(), flow.Filter{}); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a server of another authority is trusted with a token: %v", err)
	}
}

func TestDialNamesTheStepThatFails(t *testing.T) {
	a, config := start(t)
	for what, step := range map[string]Step{
		"configmaps": StepTrust, "serviceaccounts": StepToken, "pods": StepPod, "pods/": StepForward,
	} {
		a.mu.Lock()
		a.forbid = what
		a.mu.Unlock()
		_, err := Dial(t.Context(), config)
		var failed *Error
		if !errors.As(err, &failed) || failed.Step != step || !strings.Contains(err.Error(), "forbidden") {
			t.Errorf("%s forbidden: %v", what, err)
		}
	}
	a.mu.Lock()
	a.forbid, a.ready = "", false
	a.mu.Unlock()
	_, err := Dial(t.Context(), config)
	var none *review.NoServerError
	if !errors.As(err, &none) || none.Pods != 1 {
		t.Errorf("no pod is ready: %v", err)
	}
}
