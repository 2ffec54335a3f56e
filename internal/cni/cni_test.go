package cni

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// agent is a node's agent that has every pod but those named late in force.
type agent struct {
	agentpb.UnimplementedAgentServer
	ready bool
	mu    sync.Mutex
	asked []string
}

func (a *agent) AwaitPod(_ context.Context, r *agentpb.AwaitPodRequest) (*agentpb.AwaitPodReply, error) {
	a.mu.Lock()
	a.asked = append(a.asked, "await "+r.Namespace+"/"+r.Name+" "+r.Container+" "+strings.Join(r.Addresses, ","))
	a.mu.Unlock()
	if r.Name == "late" {
		time.Sleep(time.Duration(r.TimeoutMilliseconds) * time.Millisecond)
		return nil, status.Error(codes.DeadlineExceeded, "no route leads to the pod")
	}
	return &agentpb.AwaitPodReply{}, nil
}

func (a *agent) ForgetPod(_ context.Context, r *agentpb.ForgetPodRequest) (*agentpb.ForgetPodReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, "forget "+r.Container)
	return &agentpb.ForgetPodReply{}, nil
}

func (a *agent) TellPlugin(_ context.Context, r *agentpb.PluginStatus) (*agentpb.TellPluginReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked = append(a.asked, fmt.Sprintf("plugin %v %q %q", r.GetInForce(), r.GetFile(), r.GetReason()))
	return &agentpb.TellPluginReply{}, nil
}

// The agent is told of its plugin; one that does not know the question is content.
func TestTellAgent(t *testing.T) {
	a := &agent{}
	socket := a.serve(t)
	if err := errors.Join(TellAgent(t.Context(), socket, "10-a.conflist", nil), TellAgent(t.Context(), socket, "", errors.New("no network"))); err != nil {
		t.Fatal(err)
	}
	if want := []string{`plugin true "10-a.conflist" ""`, `plugin false "" "no network"`}; !slices.Equal(a.asked, want) {
		t.Errorf("told %q", a.asked)
	}
	old := filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.Listen("unix", old)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	agentpb.RegisterAgentServer(s, agentpb.UnimplementedAgentServer{})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	if err := TellAgent(t.Context(), old, "10-a.conflist", nil); err != nil {
		t.Error(err)
	}
}

func (a *agent) Status(context.Context, *agentpb.StatusRequest) (*agentpb.StatusReply, error) {
	return &agentpb.StatusReply{Ready: a.ready}, nil
}

func (a *agent) serve(t *testing.T) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	agentpb.RegisterAgentServer(s, a)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return socket
}

const previous = `{"cniVersion":"1.1.0","interfaces":[{"name":"veth1"},{"name":"eth0","sandbox":"/proc/1/ns/net"}],` +
	`"ips":[{"interface":1,"address":"10.244.1.7/24","gateway":"10.244.1.1"},{"interface":1,"address":"fd00::7/64"}]}`

// call is a command of a container runtime for a pod.
func call(socket, pod, prev, more string) *skel.CmdArgs {
	text := `{"cniVersion":"1.1.0","name":"pods","type":"netpol","socket":"` + socket + `"` + more
	if !strings.Contains(more, "health") {
		text += `,"health":"127.0.0.1:1"` // nobody
	}
	if prev != "" {
		text += `,"prevResult":` + prev
	}
	args := "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=" + pod + ";K8S_POD_INFRA_CONTAINER_ID=c1;K8S_POD_UID=u1"
	if pod == "" {
		args = ""
	}
	return &skel.CmdArgs{ContainerID: "c1", IfName: "eth0", Args: args, StdinData: []byte(text + "}")}
}

// printed is what f writes to standard output.
func printed(t *testing.T, f func() error) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stdout
	os.Stdout = w
	err = f()
	os.Stdout = old
	w.Close()
	out, rerr := io.ReadAll(r)
	if rerr != nil {
		t.Fatal(rerr)
	}
	return string(out), err
}

func TestADDWaitsAndPassesTheResultOn(t *testing.T) {
	a := &agent{ready: true}
	socket := a.serve(t)
	out, err := printed(t, func() error { return Plugin{}.add(call(socket, "web-0", previous, "")) })
	if err != nil {
		t.Fatal(err)
	}
	var got, want map[string]any
	if json.Unmarshal([]byte(out), &got) != nil || json.Unmarshal([]byte(previous), &want) != nil || len(got["ips"].([]any)) != 2 || got["cniVersion"] != "1.1.0" {
		t.Errorf("printed %s, want what the plugin before made", out)
	}
	if want := []string{"await shop/web-0 c1 10.244.1.7,fd00::7"}; !slices.Equal(a.asked, want) {
		t.Errorf("asked %q, want %q", a.asked, want)
	}
	if err := (Plugin{}).check(call(socket, "web-0", previous, "")); err != nil {
		t.Errorf("CHECK: %v", err)
	}
	if err := (Plugin{}).del(call(socket, "web-0", "", "")); err != nil || a.asked[len(a.asked)-1] != "forget c1" {
		t.Errorf("DEL: %v, asked %q", err, a.asked)
	}
}

func TestADDOfNoPodPassesTheResultOn(t *testing.T) {
	out, err := printed(t, func() error { return Plugin{}.add(call("/nowhere.sock", "", previous, "")) })
	if err != nil || !strings.Contains(out, "10.244.1.7/24") {
		t.Errorf("printed %s, %v", out, err)
	}
}

func TestADDFailsWithTheReason(t *testing.T) {
	a := &agent{}
	socket := a.serve(t)
	nowhere := filepath.Join(t.TempDir(), "agent.sock")
	for name, tc := range map[string]struct {
		args *skel.CmdArgs
		code uint
		says string
	}{
		"not in force":      {call(socket, "late", previous, `,"timeout":"100ms"`), types.ErrTryAgainLater, "shop/late were not in force after 100ms"},
		"no agent":          {call(nowhere, "web-0", previous, `,"timeout":"100ms"`), types.ErrTryAgainLater, "no answer from the node's agent on " + nowhere},
		"first of a chain":  {call(socket, "web-0", "", ""), types.ErrInvalidNetworkConfig, "chained plugin"},
		"no address":        {call(socket, "web-0", `{"cniVersion":"1.1.0"}`, ""), types.ErrInvalidNetworkConfig, "no address"},
		"an odd time-out":   {call(socket, "web-0", previous, `,"timeout":"soon"`), types.ErrInvalidNetworkConfig, `timeout "soon"`},
		"a time-out of 1 h": {call(socket, "web-0", previous, `,"timeout":"1h"`), types.ErrInvalidNetworkConfig, "at most 2m0s"},
	} {
		out, err := printed(t, func() error { return Plugin{}.add(tc.args) })
		var e *types.Error
		if !errors.As(err, &e) || e.Code != tc.code || !strings.Contains(e.Msg, tc.says) || out != "" {
			t.Errorf("%s: %v, printed %q; want code %d and %q", name, err, out, tc.code, tc.says)
		}
	}
}

// A pod goes, whatever became of the agent.
func TestDELNeverFails(t *testing.T) {
	start := time.Now()
	if err := (Plugin{}).del(call(filepath.Join(t.TempDir(), "agent.sock"), "web-0", "", "")); err != nil {
		t.Error(err)
	}
	if err := (Plugin{}).del(&skel.CmdArgs{StdinData: []byte("{")}); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestSTATUS(t *testing.T) {
	a := &agent{}
	socket := a.serve(t)
	var e *types.Error
	if err := (Plugin{}).status(call(socket, "", "", "")); !errors.As(err, &e) || e.Code != errNotAvailable {
		t.Errorf("not ready: %v", err)
	}
	a.ready = true
	if err := (Plugin{}).status(call(socket, "", "", "")); err != nil {
		t.Errorf("ready: %v", err)
	}
}

// An agent without the plugin must not hold up pods because a former one's
// plugin is still there: it has no socket on the node.
func TestAnAgentWithoutThePluginHoldsUpNobody(t *testing.T) {
	nowhere := filepath.Join(t.TempDir(), "agent.sock")
	code := http.StatusOK
	var mu sync.Mutex
	health := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/readyz" {
			code = http.StatusNotFound
		}
		w.WriteHeader(code)
	}))
	defer health.Close()
	more := `,"timeout":"30s","health":"` + strings.TrimPrefix(health.URL, "http://") + `"`
	start := time.Now()
	out, err := printed(t, func() error { return Plugin{}.add(call(nowhere, "web-0", previous, more)) })
	if err != nil || !strings.Contains(out, "10.244.1.7/24") || time.Since(start) > 20*time.Second {
		t.Errorf("%v after %s, printed %q", err, time.Since(start), out)
	}
	if err := (Plugin{}).status(call(nowhere, "", "", more)); err != nil {
		t.Errorf("STATUS: %v", err)
	}
	mu.Lock()
	code = http.StatusServiceUnavailable
	mu.Unlock()
	more = strings.Replace(more, "30s", "100ms", 1)
	if _, err := printed(t, func() error { return Plugin{}.add(call(nowhere, "web-0", previous, more)) }); err == nil {
		t.Error("an agent that is not ready lets a pod start")
	}
	// With a socket there it is the socket that counts.
	mu.Lock()
	code = http.StatusOK
	mu.Unlock()
	a := &agent{}
	if _, err := printed(t, func() error { return Plugin{}.add(call(a.serve(t), "late", previous, more)) }); err == nil {
		t.Error("an agent with a socket was not asked")
	}
}
