package cmd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// evidence is what commands that look at flows start from.
type evidence struct {
	*world
	model    *tier.Model
	flows    []flow.Flow
	coverage flow.Coverage
	// calico says that the flows are Calico's, and so their pending verdicts.
	calico bool
}

// gather reads the policies of the present and the flows that the filter picks.
// Faults in resources are told on stderr, since the answer may depend on what
// is missing.
func gather(ctx context.Context, f *cli.Factory, from *flowsFrom, filter flow.Filter) (*evidence, error) {
	w, source, err := openFlows(ctx, f, from, filter)
	if err != nil {
		return nil, err
	}
	flows, coverage, err := source.List(ctx, filter)
	if err == nil && coverage.Restricted && len(from.scope) > 0 {
		// What is not theirs to see is not what is asked about.
		filter.Namespaces = from.scope
		flows, coverage, err = source.List(ctx, filter)
	}
	if err != nil {
		return nil, from.failed(source, err)
	}
	if coverage.Restricted && !from.partial {
		return nil, &cli.Error{
			What:  "only the flows of some namespaces are yours to see, so nothing can be said about all",
			Where: []string{"the right to list flows.netpol.dev in all namespaces is missing"},
			Try:   "the same command with -n NAMESPACE; or as an administrator: kubectl create clusterrolebinding NAME --clusterrole=netpol-flows-reader --user=USER",
		}
	}
	if f.Offline() && flow.IsCalicos(source) {
		if err := w.witness(f, flows); err != nil {
			return nil, err
		}
	}
	return &evidence{world: w, model: tier.New(w.snap, nil), flows: flows, coverage: coverage, calico: flow.IsCalicos(source)}, nil
}

// witness gives a directory of policies alone the workloads that flows tell of.
func (w *world) witness(f *cli.Factory, flows []flow.Flow) error {
	seen, err := flow.Witnesses(w.snap, flows)
	if err != nil || len(seen) == 0 {
		return err
	}
	w.snap = w.snap.WithEndpoints(seen)
	names := flow.NewNames(w.snap)
	for i := range flows {
		flows[i] = names.Flow(flows[i])
	}
	f.IO.ErrPrinter().Printf("note: %s are known from the flows alone, with the labels that these tell\n", plural(len(seen), "workload"))
	return nil
}

// openFlows reads the policies of the present and opens the source of flows,
// which has the names that there are now.
func openFlows(ctx context.Context, f *cli.Factory, from *flowsFrom, filter flow.Filter) (*world, flow.Source, error) {
	w, faults, err := loadWorld(ctx, f.Store)
	if err != nil {
		return nil, nil, err
	}
	tellFaults(f.IO, faults)
	if err := w.namespaces(filter.Namespaces); err != nil {
		return nil, nil, err
	}
	source, err := from.open(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	if flow.IsCalicos(source) {
		source = flow.FromCalico(flow.Named(source, flow.NewNames(w.snap)))
	}
	return w, source, nil
}

// flowsError is an error of the flow source as users see it.
func flowsError(err error) error {
	var typed *cli.Error
	if code := cli.Code(err); code == cli.ExitInterrupted || errors.As(err, &typed) {
		return err
	}
	if code := status.Code(err); code == codes.PermissionDenied || code == codes.Unauthenticated {
		return &cli.Error{
			What: "the flows are not yours to see", Where: []string{statusText(err)}, Err: err,
			Try: "as an administrator: kubectl create rolebinding NAME -n NAMESPACE --clusterrole=netpol-flows-reader --user=USER",
		}
	}
	return &cli.Error{What: "the agent's flows can't be read", Where: []string{agentText(err)}, Try: "netpol lab status", Err: err}
}

// statusText is what a server said, without the words around it.
func statusText(err error) string {
	for e := err; e != nil; e = errors.Unwrap(e) {
		if s, ok := e.(interface{ GRPCStatus() *status.Status }); ok {
			return s.GRPCStatus().Message()
		}
	}
	return err.Error()
}

// agentText is why an agent did not answer, without the transport's noise where
// there is none to answer (stopped, restarting, lab up --no-agent).
func agentText(err error) string {
	if status.Code(err) == codes.Unavailable {
		return "no agent answers"
	}
	return err.Error()
}

// namespacesOf are the namespaces asked for, none for all.
func namespacesOf(f *cli.Factory) ([]string, error) {
	ns := f.Namespaces()
	if len(ns) > 0 && f.AllNamespaces() {
		return nil, cli.Usage("", "-n and -A can't be given together")
	}
	return ns, nil
}

// parseSince reads --since: how long ago (90s, 10m, 2h, 7d) or a moment in
// RFC 3339. Empty is the zero time.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, s); err == nil {
		if at.After(now) {
			return time.Time{}, cli.Usage("--since 10m", "--since %s is in the future: it is %s now", s, now.UTC().Format(time.RFC3339))
		}
		return at, nil
	}
	d, err := time.ParseDuration(s)
	if days, ok := strings.CutSuffix(s, "d"); err != nil && ok {
		var n int
		if n, err = strconv.Atoi(days); err == nil && n <= 36500 {
			d = time.Duration(n) * 24 * time.Hour
		}
	}
	if err != nil || d <= 0 {
		return time.Time{}, cli.Usage("--since 10m", "--since %q: expected how long ago (90s, 10m, 2h, 7d) or a time such as %s", s, now.UTC().Format(time.RFC3339))
	}
	return now.Add(-d), nil
}

// sinceHelp is the help of --since.
const sinceHelp = "only what was seen since: how long ago (10m, 2h, 7d) or a time (RFC 3339); default: all there is"

// parsePort reads --port.
func parsePort(s string) (uint16, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, cli.Usage("", "--port %q: expected a number from 1 to 65535", s)
	}
	return uint16(n), nil
}

// coverageReport is a flow.Coverage in JSON.
type coverageReport struct {
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	Lost        int64     `json:"lost"`
	LostUnknown bool      `json:"lostUnknown"`
	Evicted     int64     `json:"evicted"`
	// Restricted: flows are left out that are not the user's to see.
	Restricted bool `json:"restricted,omitempty"`
}

func newCoverageReport(c flow.Coverage) coverageReport {
	return coverageReport{
		From: c.From.UTC().Truncate(time.Second), To: c.To.UTC().Truncate(time.Second),
		Lost: c.Lost, LostUnknown: c.LostUnknown, Evicted: c.Evicted, Restricted: c.Restricted,
	}
}

// text is the window in words, and what is missing of it.
func (c coverageReport) text() string {
	out := fmt.Sprintf("seen from %s to %s", c.From.Format(time.RFC3339), c.To.Format(time.RFC3339))
	switch {
	case c.LostUnknown && c.Lost == 0:
		out += "; some connections are missing, so every number is a lower bound"
	case c.LostUnknown:
		out += fmt.Sprintf("; at least %d connections were lost, so every number is a lower bound", c.Lost)
	case c.Lost > 0:
		out += fmt.Sprintf("; %d connections more were lost", c.Lost)
	}
	if c.Evicted > 0 {
		out += fmt.Sprintf("; %d flows more were dropped to stay within bounds", c.Evicted)
	}
	if c.Restricted {
		out += "; only flows of namespaces that are yours to see"
	}
	return out
}

// stagedPolicy finds the staged policy that a user names: NAME or
// NAMESPACE/NAME.
func (ev *evidence) stagedPolicy(arg string, namespaces []string) (*policy.Policy, error) {
	namespace := ""
	if len(namespaces) == 1 {
		namespace = namespaces[0]
	}
	key, err := ev.staged(arg, namespace)
	if err != nil {
		return nil, err
	}
	for _, p := range ev.snap.Policies {
		if p.Key == key {
			return p, nil
		}
	}
	return nil, &cli.Error{What: fmt.Sprintf("%s has faults, so nothing can be said of it", key), Try: "netpol get policies"}
}
