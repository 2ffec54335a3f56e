//go:build linux

package enforce_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// A policy that can't be read is in force as long as an agent knows it from
// before; a restarted one does not know it, keeps the kernel's rules until it
// is mended, and is not ready.
func TestS31_RestartKeepsTheRulesWhilePartCantBeRead(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		client, server := n.addPod("client"), n.addPod("server")
		n.policy("server", onlyAllowed)
		a := n.start(nil)
		w := n.watch(client, server)
		w.sees(t, 100)
		n.write("server", "kind: [")
		if s, err := a.Sync(t.Context(), &agentpb.SyncRequest{}); err != nil || len(s.Problems) != 1 {
			t.Errorf("a running agent: %v, %v", s, err)
		}
		w.sees(t, 100)
		a.stop()

		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- runAgent(ctx, n.dir, slog.New(slog.NewTextHandler(t.Output(), nil)), nil) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("the agent ended with %v", err)
			}
		}()
		conn, err := grpc.NewClient("unix://"+socketOf(n.dir), grpc.WithTransportCredentials(insecure.NewCredentials()))
		n.must(err)
		defer conn.Close()
		status := func() *agentpb.StatusReply {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			s, err := agentpb.NewAgentClient(conn).Status(ctx, &agentpb.StatusRequest{})
			if err != nil {
				return nil
			}
			return s
		}
		var s *agentpb.StatusReply
		await(t, "the agent to say what is wrong", func() bool {
			s = status()
			return s != nil && len(s.Problems) > 0
		})
		if s.Ready || !strings.Contains(s.Problems[len(s.Problems)-1], "stay in force") {
			t.Errorf("ready %v, problems %q", s.Ready, s.Problems)
		}
		// More than a socket has room for: an agent that only waits must not hear
		// what it does not read, or allowed connections would suffer.
		w.sees(t, 3000)
		n.policy("server", onlyAllowed)
		await(t, "the agent to be ready", func() bool { s = status(); return s != nil && s.Ready && len(s.Problems) == 0 })
		w.sees(t, 100)
		w.stop(t)
	})
}
