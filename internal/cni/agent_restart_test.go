package cni

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/grpc"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// busyAgent never has a pod's policies in force.
type busyAgent struct {
	agentpb.UnimplementedAgentServer
	asked chan struct{}
}

func (a *busyAgent) AwaitPod(ctx context.Context, _ *agentpb.AwaitPodRequest) (*agentpb.AwaitPodReply, error) {
	close(a.asked)
	<-ctx.Done()
	return nil, ctx.Err()
}

func serveOn(t *testing.T, socket string, a agentpb.AgentServer) *grpc.Server {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	agentpb.RegisterAgentServer(s, a)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return s
}

// A pod that starts while the agent ends waits for the next one.
func TestADDOutlivesTheAgent(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "agent.sock")
	first, second := &busyAgent{asked: make(chan struct{})}, &agent{ready: true}
	s := serveOn(t, socket, first)
	added := make(chan error, 1)
	go func() {
		_, err := printed(t, func() error { return Plugin{}.add(call(socket, "web-0", previous, `,"timeout":"30s"`)) })
		added <- err
	}()
	<-first.asked
	s.Stop()
	_ = os.Remove(socket)
	serveOn(t, socket, second)
	if err := <-added; err != nil {
		t.Errorf("%v; want the pod to start with the next agent", err)
	}
	if len(second.asked) != 1 {
		t.Errorf("the next agent was asked %q", second.asked)
	}
}
