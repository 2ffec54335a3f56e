package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/network"
	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
)

// node is a lab. It implements lab.Backend.
type node struct {
	config   lab.NodeConfig
	plan     *plan.Plan
	net      *network.Network
	listener net.Listener
	started  time.Time
	down     chan struct{}
	downOnce sync.Once

	agent     *process // nil: none is wanted
	agentConn *grpc.ClientConn
	actors    []*actorProcess // the outside client is the last one

	mu    sync.Mutex
	since time.Time // counters began
}

// close ends what the end of the process would end anyway, for the sake of
// the files that the agent keeps.
func (n *node) close() {
	if n.listener != nil {
		_ = n.listener.Close()
	}
	if n.agentConn != nil {
		_ = n.agentConn.Close()
	}
}

// Down implements lab.Backend.
func (n *node) Down() { n.downOnce.Do(func() { close(n.down) }) }

// startAgent runs the agent and waits until its rules are in the kernel.
func (n *node) startAgent(ctx context.Context) error {
	if n.config.NoAgent {
		return nil
	}
	d := n.config.Dir
	n.agent = &process{
		name: "agent", exe: n.config.Executable, logs: d.Logs(),
		args: []string{
			"agent", "--dir", d.Manifests(), "--node", n.plan.Node.Name,
			"--socket", d.AgentSocket(), "--interface-prefix", plan.InterfacePrefix,
			"--pod-cidr", plan.PodCIDR(false).String() + "," + plan.PodCIDR(true).String(),
			"--log-file", d.LogLines(), "--data", d.Data(),
		},
	}
	if n.config.LogPrefix != "" {
		n.agent.args = append(n.agent.args, "--log-prefix", n.config.LogPrefix)
	}
	conn, err := grpc.NewClient("unix:"+d.AgentSocket(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(quickly))
	if err != nil {
		return fmt.Errorf("agent's socket: %w", err)
	}
	n.agentConn = conn
	if err := n.agent.keep(ctx); err != nil {
		return err
	}
	return n.awaitAgent(ctx)
}

// awaitAgent waits until the agent is ready.
func (n *node) awaitAgent(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, agentPatience)
	defer cancel()
	last := errors.New("no answer")
	for {
		s, err := n.askAgent(ctx)
		switch {
		case err == nil && s.GetReady():
			return nil
		case err == nil:
			last = fmt.Errorf("not ready: %s", strings.Join(s.GetProblems(), "; "))
		case ctx.Err() == nil:
			last = err
		}
		if _, restarts := n.agent.state(); restarts > 2 {
			return fmt.Errorf("the agent ends as soon as it is started:\n%s", logTail(n.config.Dir, "agent"))
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the agent is not ready after %s: %w\n%s", agentPatience, last, logTail(n.config.Dir, "agent"))
		}
	}
}

func (n *node) askAgent(ctx context.Context) (*agentpb.StatusReply, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return agentpb.NewAgentClient(n.agentConn).Status(ctx, &agentpb.StatusRequest{})
}

// Status implements lab.Backend.
func (n *node) Status() lab.Status {
	n.mu.Lock()
	since := n.since
	n.mu.Unlock()
	d := n.config.Dir
	s := lab.Status{
		APIVersion: "netpol.dev/v1", Kind: "LabStatus", Name: n.config.Name, Started: n.started, CountedSince: since,
		Directory: string(d), Manifests: d.Manifests(), AgentSocket: d.AgentSocket(), LogLines: d.LogLines(),
		Node: n.plan.Node, Agent: n.agentStatus(), Notes: n.plan.Notes, Services: n.plan.Services, Pods: []lab.PodStatus{},
	}
	for _, a := range n.actors {
		if a.outside {
			s.Outside = a.status()
		} else {
			s.Pods = append(s.Pods, a.status())
		}
	}
	return s
}

func (n *node) agentStatus() lab.AgentStatus {
	if n.agent == nil {
		return lab.AgentStatus{}
	}
	s := lab.AgentStatus{Wanted: true}
	s.Running, s.Restarts = n.agent.state()
	reply, err := n.askAgent(context.Background())
	if err != nil {
		s.Problems = []string{"it does not answer"}
		return s
	}
	s.Ready, s.Problems = reply.GetReady(), reply.GetProblems()
	return s
}

// Reset implements lab.Backend.
func (n *node) Reset() {
	now := time.Now().UTC()
	n.mu.Lock()
	n.since = now
	n.mu.Unlock()
	for _, a := range n.actors {
		a.reset(now)
	}
}
