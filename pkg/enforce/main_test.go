//go:build linux

package enforce_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/enforce"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
)

// agentEnv makes this program an agent that enforces the directory named.
const agentEnv = "NETPOL_ENFORCE_TEST_AGENT"

// kindEnv makes it find pods' interfaces by kind.
const kindEnv = "NETPOL_ENFORCE_TEST_KIND"

func TestMain(m *testing.M) {
	if dir := os.Getenv(agentEnv); dir != "" {
		go func() { // the test's end, however it comes, ends its agents
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}()
		var change func(*enforce.Options)
		if os.Getenv(kindEnv) != "" {
			change = byKind
		}
		if err := runAgent(context.Background(), dir, slog.New(slog.NewTextHandler(os.Stderr, nil)), change); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func runAgent(ctx context.Context, dir string, log *slog.Logger, change func(*enforce.Options)) error {
	store, err := cluster.OpenDir(dir)
	if err != nil {
		return err
	}
	opts := enforce.Options{
		Source: store, Node: nodeName, InterfacePrefix: podPrefix, PodCIDRs: podCIDRs,
		Socket: socketOf(dir), Version: "test", Log: log,
	}
	if change != nil {
		change(&opts)
	}
	return enforce.Run(ctx, opts)
}

// socketOf is beside the manifests, hidden from their reader.
func socketOf(dir string) string { return filepath.Join(dir, ".run", "agent.sock") }

// agent is a running agent, as its clients see it.
type agent struct {
	agentpb.AgentClient
	t     testing.TB
	flows flow.Source
	// stop ends it, by its context or its process.
	stop  func()
	port  uint16 // of the latest attempt
	again int64  // SYNs of refused attempts that were sent once more
}

// start runs an agent in this process until the test ends, and waits until it
// enforces.
func (n *node) start(change func(*enforce.Options)) *agent {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	log := slog.New(slog.NewTextHandler(n.t.Output(), nil))
	go func() { ended <- runAgent(ctx, n.dir, log, change) }()
	stopped := false
	stop := func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		select {
		case err := <-ended:
			if err != nil {
				n.t.Errorf("the agent ended with %v", err)
			}
		case <-time.After(patience):
			n.t.Error("the agent does not end")
		}
	}
	n.t.Cleanup(stop)
	return n.connect(stop)
}

// startProcess runs an agent as a process of its own; stop kills it.
func (n *node) startProcess(env ...string) (*agent, *exec.Cmd) {
	n.t.Helper()
	self, err := os.Executable()
	n.must(err)
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), agentEnv+"="+n.dir), env...)
	cmd.Stderr = n.t.Output()
	_, err = cmd.StdinPipe() // open as long as this process lives
	n.must(err)
	n.must(cmd.Start())
	stop := func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	n.t.Cleanup(stop)
	return n.connect(stop), cmd
}

func (n *node) connect(stop func()) *agent {
	n.t.Helper()
	// gRPC would wait a second after a first attempt that is too early.
	await(n.t, "the agent's socket", func() bool {
		c, err := net.Dial("unix", socketOf(n.dir))
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	conn, err := flow.DialUnix(socketOf(n.dir))
	n.must(err)
	n.t.Cleanup(func() { _ = conn.Close() })
	a := &agent{AgentClient: agentpb.NewAgentClient(conn), t: n.t, flows: flow.NewClient(conn), stop: stop}
	await(n.t, "the agent to be ready", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s, err := a.Status(ctx, &agentpb.StatusRequest{})
		return err == nil && s.Ready && s.Enforcing
	})
	return a
}

// sync returns when what was written before is in the kernel.
func (a *agent) sync() *agentpb.StatusReply {
	a.t.Helper()
	s, err := a.Sync(context.Background(), &agentpb.SyncRequest{})
	if err != nil {
		a.t.Fatalf("sync: %v", err)
	}
	if len(s.Problems) > 0 {
		a.t.Fatalf("sync: problems: %q", s.Problems)
	}
	return s
}

func (a *agent) status() *agentpb.StatusReply {
	a.t.Helper()
	s, err := a.Status(context.Background(), &agentpb.StatusRequest{})
	if err != nil {
		a.t.Fatalf("status: %v", err)
	}
	return s
}

// agreed fails if the kernel ever judged otherwise than the model, or if
// anything that was seen got lost.
func (a *agent) agreed() {
	a.t.Helper()
	if s := a.status(); s.Disagreements != 0 || s.LostEvents != 0 || s.LostUnknown {
		a.t.Errorf("disagreements %d, lost events %d, more lost %v; want none", s.Disagreements, s.LostEvents, s.LostUnknown)
	}
}

// list returns the flows that pass a filter.
func (a *agent) list(f flow.Filter) []flow.Flow {
	a.t.Helper()
	flows, _, err := a.flows.List(context.Background(), f)
	if err != nil {
		a.t.Fatalf("flows: %v", err)
	}
	return flows
}

// patience is how long a condition may take; a test that passes does not
// depend on it.
const patience = time.Minute

// await waits until a condition holds.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
