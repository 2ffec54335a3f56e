package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

const (
	// waitAsked is how long --wait waits, waitUnasked how long a command does
	// that was not told to.
	waitAsked, waitUnasked = 30 * time.Second, 5 * time.Second
)

// waitFlags say whether a command waits until nodes have what it wrote.
type waitFlags struct {
	cmd     *cobra.Command
	Wait    bool
	Timeout time.Duration
	// insist: what comes next must not be written before every node has this.
	insist bool
}

func (w *waitFlags) addTo(cmd *cobra.Command) {
	w.cmd = cmd
	cmd.Flags().BoolVar(&w.Wait, "wait", true, "wait until every node has it in its kernel; without the flag a cluster is waited for up to 5s and a node that is late is no error")
	cmd.Flags().DurationVar(&w.Timeout, "timeout", waitAsked, "how long to wait")
}

// given says that a flag was typed.
func (w *waitFlags) given(name string) bool { return w.cmd != nil && w.cmd.Flags().Changed(name) }

// off says that nothing is to be waited for; asked that the user insists.
func (w *waitFlags) off() bool   { return w.given("wait") && !w.Wait }
func (w *waitFlags) asked() bool { return w.given("wait") && w.Wait }

// limit is how long to wait at most.
func (w *waitFlags) limit(usual time.Duration) time.Duration {
	switch {
	case w.given("timeout"):
		return w.Timeout
	case w.asked(), w.insist:
		return waitAsked
	}
	return usual
}

// check refuses what can't be.
func (w *waitFlags) check(o *EditOptions) error {
	switch {
	case w.given("timeout") && w.Timeout < time.Millisecond:
		return cli.Usage("--timeout 30s", "--timeout %s: expected at least 1ms", w.Timeout)
	case w.given("timeout") && w.off():
		return cli.Usage("", "--timeout and --wait=false can't be given together")
	case w.asked() && o.Offline():
		return cli.Usage("the same without --wait", "--wait: no agent watches a directory, so there is nothing to wait for")
	case w.asked() && o.DryRun.on():
		return cli.Usage("", "--wait and --dry-run can't be given together: nothing is written that could be waited for")
	}
	return nil
}

// awaitable are what agents program, or judge by.
func awaitable(k policy.Kind) bool {
	switch k {
	case policy.KindTier, policy.KindNetworkSet, policy.KindGlobalNetworkSet, policy.KindHostEndpoint, policy.KindClusterNetworkPolicy,
		policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy, policy.KindKubernetesNetworkPolicy:
		return true
	}
	return k.Staged()
}

// written are the changes that agents are asked about, each resource once.
func written(results []cluster.Result) []*agentpb.Written {
	var out []*agentpb.Written
	for _, r := range slices.Backward(results) { // the last change of a resource counts
		if r.Outcome == cluster.Unchanged || r.Version == "" || !awaitable(r.Key.Kind) {
			continue
		}
		w := &agentpb.Written{
			Kind: string(r.Key.Kind), Namespace: r.Key.Namespace, Name: r.Key.Name, Version: r.Version, Deleted: r.Outcome == cluster.Deleted,
		}
		if !slices.ContainsFunc(out, func(x *agentpb.Written) bool {
			return x.GetKind() == w.GetKind() && x.GetNamespace() == w.GetNamespace() && x.GetName() == w.GetName()
		}) {
			out = append(out, w)
		}
	}
	slices.Reverse(out)
	return out
}

// await waits until a cluster's nodes have what was written. A command that was
// not told to wait only says what it could not find out.
func (o *EditOptions) await(ctx context.Context, results []cluster.Result, start time.Time, enforced bool) error {
	changes := written(results)
	if len(changes) == 0 {
		return nil
	}
	limit, parent := o.Wait.limit(waitUnasked), ctx
	ctx, cancel := context.WithTimeout(parent, limit+2*time.Second) // the server's answer about who is late included
	defer cancel()
	w := &waiting{o: o, start: start, enforced: enforced}
	err := w.run(ctx, changes, limit)
	w.clear()
	switch {
	case err == nil:
		return nil
	case parent.Err() != nil:
		return parent.Err()
	case errors.Is(err, cli.ErrNotInstalled) && !o.Wait.asked(), errors.Is(err, errNoAgents) && o.Wait.insist && !o.Wait.asked():
		return nil // Calico enforces here, or nobody
	case o.Wait.asked(), o.Wait.insist:
		return waitError(err, limit)
	}
	text := strings.TrimPrefix(firstLine(waitError(err, limit).Error()), "it is written, but ")
	o.IO.ErrPrinter().Printf("note: it is written; %s\n", text)
	return nil
}

// prepare connects to the flows server before a change is written, so that the
// time that is told is the nodes' own. What fails is told when it matters.
func (o *EditOptions) prepare(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, o.Wait.limit(waitUnasked))
	defer cancel()
	_, _ = o.Nodes(ctx)
}

// errNoAgents: netpol's flows server is there, and none of its agents.
var errNoAgents = errors.New("no agents")

// waitError is why it is not known that all nodes have it, as users see it.
func waitError(err error, limit time.Duration) error {
	var typed *cli.Error
	switch code := status.Code(errors.Unwrap(err)); {
	case errors.As(err, &typed):
		return err
	case errors.Is(err, context.DeadlineExceeded), code == codes.DeadlineExceeded:
		return &cli.Error{What: fmt.Sprintf("it is written, but the flows server did not answer in %s", limit), Try: "netpol status", Err: err}
	}
	return &cli.Error{What: "it is written, but whether nodes have it can't be found out", Where: []string{statusText(err)}, Try: "netpol status", Err: err}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
