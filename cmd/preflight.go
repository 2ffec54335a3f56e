package cmd

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

// preflightFunc judges what enforcing some staged policies together would cut.
// They may be staged nowhere: then they stand in for what is to be written.
type preflightFunc func(ctx context.Context, staged []*policy.Policy) (*stage.PreflightReport, error)

// preflightReport is the JSON of a preflight.
type preflightReport struct {
	output.Meta
	*stage.PreflightReport
}

// preflightOf asks the flows of the agents and the resources of the present.
// Where no traffic can be seen, what can be judged without is judged.
func preflightOf(f *cli.Factory, from *flowsFrom) preflightFunc {
	return func(ctx context.Context, staged []*policy.Policy) (*stage.PreflightReport, error) {
		from.scope = scopeOf(staged)
		w, facts, err := preflightWorld(ctx, f, from)
		if err != nil {
			return nil, err
		}
		keys := make([]policy.Key, len(staged))
		all := slices.Clone(w.snap.Policies)
		for i, p := range staged {
			keys[i] = p.Key
			all = append(slices.DeleteFunc(all, func(q *policy.Policy) bool { return q.Key == p.Key }), p)
		}
		m := tier.New(w.snap.WithPolicies(all), nil)
		if lacks := stage.Unrecorded(m, keys, from.coverage); len(lacks) > 0 {
			return nil, cli.Refuse("the recording has no flows of "+strings.Join(lacks, ", ")+", so nobody can say what this would break there",
				nil, "a recording without -n, or with these namespaces too; --force does without")
		}
		readFacts(ctx, w, facts)
		facts.Hosts = len(w.snap.HostEndpoints) > 0 && hostsEnforced(ctx, f)
		return stage.Preflight(m, keys, *facts), nil
	}
}

// scopeOf are the namespaces of policies that select nothing elsewhere; none if
// there is a global one.
func scopeOf(staged []*policy.Policy) []string {
	var out []string
	for _, p := range staged {
		if p.Namespace == "" {
			return nil
		}
		out = append(out, p.Namespace)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func preflightWorld(ctx context.Context, f *cli.Factory, from *flowsFrom) (*world, *stage.Facts, error) {
	if !f.Offline() || from.Given() {
		ev, err := gather(ctx, f, from, flow.Filter{})
		if err == nil {
			from.coverage = &ev.coverage
			// A file without flows is no evidence: whoever wrote it saw nothing. Nor
			// is an agent that has seen none at all yet.
			none := len(ev.flows) == 0
			return ev.world, &stage.Facts{Flows: ev.flows, Blind: none && from.isFile(), Unseen: none && !from.isFile()}, nil
		}
		if !errors.Is(err, cli.ErrNotInstalled) {
			return nil, nil, err
		}
	}
	w, faults, err := loadWorld(ctx, f.Store)
	facts := &stage.Facts{Blind: true}
	if err != nil {
		// Without the right to read all of it, what can be read is judged.
		facts.NotChecked = append(facts.NotChecked, "pods and Services: "+firstLine(err.Error()))
		w, faults, err = loadWorld(ctx, f.Store, orderKinds...)
	}
	if err == nil {
		tellFaults(f.IO, faults)
	}
	return w, facts, err
}

// hostsEnforced says whether policies for host endpoints are enforced where the
// resources are, or may be: Calico does, and no agent of ours. Who enforces what
// is in a directory that no agent watches nobody knows here, nor on a cluster where
// Calico can't be looked for.
func hostsEnforced(ctx context.Context, f *cli.Factory) bool {
	if !f.OnCluster() {
		return f.Offline()
	}
	info, err := f.Calico(ctx)
	return err != nil || info.Enforces()
}
