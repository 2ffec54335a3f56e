package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/network"
	"github.com/netpol-project/netpol/internal/lab/plan"
)

// How long a lab waits for its parts before it says that something is wrong, which
// a busy machine is not. For traffic it does not wait as long, since policies may
// forbid it.
const (
	agentPatience   = time.Minute
	actorPatience   = 30 * time.Second
	trafficPatience = 4 * time.Second
)

// Main is the node's process: it tells the one who started it when the lab is
// up, and returns when the lab is to end. What it returns has been told.
func Main(ctx context.Context) error {
	ready := os.NewFile(lab.ReadyFD, "ready")
	unix.CloseOnExec(lab.LockFD)
	unix.CloseOnExec(lab.ReadyFD)
	n, err := start(ctx)
	if n != nil {
		defer n.close()
	}
	word := lab.Ready{}
	if err != nil {
		word.Error = err.Error()
		word.Forbidden = errors.Is(err, fs.ErrPermission)
	}
	// Nobody waits any more: then this lab is not wanted.
	if writeErr := json.NewEncoder(ready).Encode(word); writeErr != nil {
		return errors.Join(err, fmt.Errorf("tell that the lab is up: %w", writeErr))
	}
	if err != nil {
		return err
	}
	_ = ready.Close()
	log.Print("the lab is up")
	select {
	case <-ctx.Done():
	case <-n.down:
	}
	log.Print("the lab ends")
	return nil
}

// start brings the lab up.
func start(ctx context.Context) (*node, error) {
	n, err := configure()
	if err != nil {
		return nil, err
	}
	mountProc()
	if n.net, err = network.Build(n.plan, n.config.IPv6); err != nil {
		return nil, fmt.Errorf("build the network: %w", err)
	}
	listener, err := net.Listen("unix", n.config.Dir.Socket())
	if err != nil {
		return n, fmt.Errorf("open the control socket: %w", err)
	}
	n.listener = listener
	go func() { log.Printf("control socket: %v", lab.Serve(listener, n)) }()
	if err := n.startAgent(ctx); err != nil {
		return n, err
	}
	if err := n.startActors(ctx); err != nil {
		return n, err
	}
	n.awaitTraffic(ctx, trafficPatience)
	return n, nil
}

// configure reads what the node is to be.
func configure() (*node, error) {
	in := os.NewFile(lab.ConfigFD, "configuration")
	defer in.Close()
	n := &node{down: make(chan struct{}), started: time.Now().UTC()}
	n.since = n.started
	if err := json.NewDecoder(in).Decode(&n.config); err != nil {
		return nil, fmt.Errorf("read the node's configuration: %w", err)
	}
	data, err := os.ReadFile(n.config.Dir.PlanFile())
	if err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	n.plan = new(plan.Plan)
	if err := json.Unmarshal(data, n.plan); err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	return n, nil
}

// mountProc gives the process namespace its own /proc, for whoever looks
// processes up by number there. The lab itself can do without: where a
// container hides parts of /proc the kernel does not let us.
func mountProc() {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		log.Printf("make mounts private: %v", err)
		return
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		log.Printf("mount /proc: %v", err)
	}
}
