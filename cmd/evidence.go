package cmd

import (
	"context"
	"errors"
	"fmt"

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
	// source and filter are what was asked for flows.
	source flow.Source
	filter flow.Filter
	// names are what flows have from workloads that they alone tell of; nil:
	// they have their names already.
	names *flow.Names
}

// rename is a flow of the source with the names that those of flows have.
func (ev *evidence) rename(f flow.Flow) flow.Flow {
	if ev.names == nil {
		return f
	}
	return ev.names.Flow(f)
}

// gather reads the policies of the present and the flows that the filter picks.
// Faults in resources are told on stderr, since the answer may depend on what
// is missing.
func gather(ctx context.Context, f *cli.Factory, from *flowsFrom, filter flow.Filter) (*evidence, error) {
	w, source, err := openFlows(ctx, f, from, filter)
	if err != nil {
		return nil, err
	}
	if from.before != nil {
		if err := from.before(w, source); err != nil {
			return nil, err
		}
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
	w.recorded(f, source)
	if coverage.Restricted && !from.partial {
		return nil, &cli.Error{
			What:  "only the flows of some namespaces are yours to see, so nothing can be said about all",
			Where: []string{"the right to list flows.netpol.dev in all namespaces is missing"},
			Try:   "the same command with -n NAMESPACE; or as an administrator: kubectl create clusterrolebinding NAME --clusterrole=netpol-flows-reader --user=USER",
		}
	}
	ev := &evidence{world: w, flows: flows, coverage: coverage, calico: flow.IsCalicos(source), source: source, filter: filter}
	_, noStore := f.Store()
	if (f.Offline() || from.isFile() && from.alone(f, noStore)) && flow.IsForeign(source) {
		if ev.names, err = w.witness(f, flows); err != nil {
			return nil, err
		}
	}
	noteMetrics(f.IO, source, flows)
	ev.model = tier.New(w.snap, nil)
	return ev, nil
}

// witness gives a directory of policies alone, or nothing at all, the workloads that
// flows tell of, and flows their names; nil if there are none such.
func (w *world) witness(f *cli.Factory, flows []flow.Flow) (*flow.Names, error) {
	seen, err := flow.Witnesses(w.snap, flows)
	if err != nil || len(seen) == 0 {
		return nil, err
	}
	w.snap = w.snap.WithEndpoints(seen)
	names := flow.NewNames(w.snap)
	for i := range flows {
		flows[i] = names.Flow(flows[i])
	}
	f.IO.ErrPrinter().Printf("note: %s are known from the flows alone, with the labels that these tell\n", plural(len(seen), "workload"))
	return names, nil
}

// openFlows reads the policies of the present and opens the source of flows,
// which has the names that there are now.
func openFlows(ctx context.Context, f *cli.Factory, from *flowsFrom, filter flow.Filter) (*world, flow.Source, error) {
	if err := from.Misplaced(); err != nil { // rather than that there is no lab
		return nil, nil, err
	}
	w, faults, err := loadWorld(ctx, from.storeOf(f))
	if err != nil {
		return nil, nil, err
	}
	tellFaults(f.IO, faults)
	w.told = faults
	source, err := from.open(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	w.recorded(f, source)
	if err := w.namespaces(filter.Namespaces); err != nil {
		return nil, nil, err
	}
	if flow.IsForeign(source) {
		source = flow.NamedForeign(source, flow.NewNames(w.snap))
	}
	return w, flow.WithKinds(source, flow.NewNames(w.snap)), nil
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
	return &cli.Error{What: "the agent's flows can't be read", Where: []string{agentText(err)}, Try: "netpol status", Err: err}
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
