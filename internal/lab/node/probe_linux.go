package node

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/prober"
)

// Probe implements lab.Backend: a prober process in each pod's namespace, all
// at once.
func (n *node) Probe(ctx context.Context, req lab.ProbeRequest) (lab.ProbeReply, error) {
	for id := range req.Tasks {
		if n.net.Pod(id) == nil {
			return lab.ProbeReply{}, fmt.Errorf("no pod %q", id)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	results := make(chan []prober.Outcome, len(req.Tasks))
	for id, tasks := range req.Tasks {
		ns := n.net.Pod(id)
		in := prober.Input{Timeout: req.Timeout, Tasks: tasks}
		if n.agent != nil {
			in.AgentSocket = n.config.Dir.AgentSocket()
		}
		data, err := json.Marshal(in)
		if err != nil {
			return lab.ProbeReply{}, err
		}
		group.Go(func() error {
			cmd := exec.CommandContext(ctx, n.config.Executable, "actor", "probe")
			var out, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(data), &out, &stderr
			if err := ns.Do(cmd.Start); err != nil {
				return fmt.Errorf("start a prober in %s: %w", id, err)
			}
			if err := cmd.Wait(); err != nil {
				return fmt.Errorf("prober in %s: %w: %s", id, err, strings.TrimSpace(stderr.String()))
			}
			outcomes, err := prober.Outcomes(out.Bytes())
			if err != nil {
				return fmt.Errorf("prober in %s: %w", id, err)
			}
			results <- outcomes
			return nil
		})
	}
	err := group.Wait()
	close(results)
	var reply lab.ProbeReply
	for r := range results {
		reply.Outcomes = append(reply.Outcomes, r...)
	}
	slices.SortFunc(reply.Outcomes, func(a, b prober.Outcome) int { return a.ID - b.ID })
	return reply, err
}

// logTail is the end of a process's log.
func logTail(d lab.Dir, name string) string {
	data, err := os.ReadFile(d.Logs() + "/" + name + ".log")
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}
