package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	case w.asked():
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
	case o.Wait.asked():
		return waitError(err, limit)
	case errors.Is(err, cli.ErrNotInstalled):
		return nil // Calico enforces here, or nobody
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

// waiting is one wait, and what it shows meanwhile.
type waiting struct {
	o        *EditOptions
	start    time.Time
	enforced bool
	of, done int
	shown    bool
}

// changesAtOnce is how many changes one question is about: a flows server takes
// none of more than 64 KiB, and a change may have 600 bytes.
const changesAtOnce = 100

func (w *waiting) run(ctx context.Context, changes []*agentpb.Written, limit time.Duration) error {
	client, err := w.o.Nodes(ctx)
	if err != nil {
		return err
	}
	var late, idle []string
	last := w.start
	for some := range slices.Chunk(changes, changesAtOnce) {
		w.of, w.done = 0, 0
		if late, idle, last, err = w.ask(ctx, client, some, limit); err != nil {
			return err
		}
		if len(late) > 0 {
			break
		}
	}
	w.clear()
	return w.tell(late, idle, last.Sub(w.start), limit)
}

// ask waits until nodes have some changes. late are the nodes that have them not
// in time, idle those that have them and do not enforce, and last is when the last
// node had them.
func (w *waiting) ask(ctx context.Context, client agentpb.NodesClient, changes []*agentpb.Written, limit time.Duration) (late, idle []string, last time.Time, err error) {
	last = w.start
	stream, err := client.Await(ctx, &agentpb.AwaitRequest{Changes: changes, TimeoutMilliseconds: max(limit.Milliseconds(), 1)})
	if err != nil {
		return nil, nil, last, fmt.Errorf("await: %w", err)
	}
	for {
		r, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return late, idle, last, nil
		}
		switch {
		case err != nil:
			return nil, nil, last, fmt.Errorf("await: %w", err)
		case r.GetNode() == "":
			w.of = int(r.GetOf())
		case !r.GetDone():
			late = append(late, fmt.Sprintf("%s: %s", r.GetNode(), r.GetProblem()))
		default:
			w.done++
			last = w.o.Now()
			if !r.GetStatus().GetEnforcing() {
				idle = append(idle, r.GetNode())
			}
		}
		w.show()
	}
}

// tell says the outcome.
func (w *waiting) tell(late, idle []string, took, limit time.Duration) error {
	word := "enforced"
	if !w.enforced {
		word = "judged"
	}
	slices.Sort(late)
	slices.Sort(idle)
	switch {
	case w.of == 0:
		return &cli.Error{What: "no node has an agent of netpol, so nothing enforces it", Try: "netpol status"}
	case len(late) > 0:
		return &cli.Error{What: fmt.Sprintf("%s on %d/%d nodes after %s", word, w.done, w.of, limit), Where: late, Try: "netpol status"}
	case len(idle) > 0 && w.enforced:
		return &cli.Error{What: fmt.Sprintf("programmed on %d/%d nodes, but these do not enforce", w.done, w.of), Where: idle, Try: "netpol status"}
	}
	w.o.IO.ErrPrinter().Printf("%s on %d/%d nodes in %s\n", word, w.done, w.of, roundTime(took))
	return nil
}

// show writes over the line before, on a terminal.
func (w *waiting) show() {
	if w.o.IO.ErrTerminal && w.of > 0 {
		fmt.Fprintf(w.o.IO.Err, "\r%d/%d nodes …\x1b[K", w.done, w.of)
		w.shown = true
	}
}

func (w *waiting) clear() {
	if w.shown {
		fmt.Fprint(w.o.IO.Err, "\r\x1b[K")
		w.shown = false
	}
}
