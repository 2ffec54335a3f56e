package ephemeral

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/prober"
)

// podsAtOnce bounds the pods that are probed from at a time.
const podsAtOnce = 16

// Probe makes the connections from inside each pod, all pods at once. agent
// answers the probers' questions; nil where no agent of netpol enforces.
func (s *Site) Probe(ctx context.Context, agent prober.Agent, req lab.ProbeRequest) (*lab.ProbeReply, error) {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(podsAtOnce)
	results := make(chan []prober.Outcome, len(req.Tasks))
	for id, tasks := range req.Tasks {
		group.Go(func() error {
			outcomes, err := s.probeFrom(ctx, id, agent, prober.Input{Timeout: req.Timeout, Tasks: tasks})
			if err != nil {
				return err
			}
			results <- outcomes
			return nil
		})
	}
	err := group.Wait()
	close(results)
	reply := &lab.ProbeReply{}
	for r := range results {
		reply.Outcomes = append(reply.Outcomes, r...)
	}
	slices.SortFunc(reply.Outcomes, func(a, b prober.Outcome) int { return a.ID - b.ID })
	return reply, err
}

// probeFrom runs a prober in one pod.
func (s *Site) probeFrom(ctx context.Context, id string, agent prober.Agent, input prober.Input) ([]prober.Outcome, error) {
	name, err := s.ensure(ctx, id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, toProber := io.Pipe()
	fromProber, out := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan error, 1)
	namespace, pod, _ := strings.Cut(id, "/")
	go func() {
		err := s.conn.Exec(ctx, kube.Command{
			Namespace: namespace, Pod: pod, Container: name, Args: []string{"/netpol", "actor", "probe"},
			In: in, Out: out, Err: &stderr,
		})
		_ = in.CloseWithError(io.ErrClosedPipe) // a write to it ends too
		_ = out.CloseWithError(io.EOF)
		ended <- err
	}()
	outcomes, err := prober.Drive(ctx, agent, input, toProber, fromProber)
	_ = toProber.Close()
	if err == nil {
		return outcomes, nil
	}
	cancel()
	if execErr := <-ended; execErr != nil && !errors.Is(execErr, context.Canceled) {
		err = explained(execErr, "create", "pods/exec", id)
	}
	if said := strings.TrimSpace(stderr.String()); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return nil, fmt.Errorf("prober in pod %s: %w", id, err)
}
