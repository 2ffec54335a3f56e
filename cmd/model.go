package cmd

import (
	"context"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// loadModel reads the store, and what --flows adds to it, and prepares it for
// judging. Faults in resources are told on stderr, since the answer may depend on
// what is missing.
func loadModel(ctx context.Context, f *cli.Factory, from *worldFrom) (*tier.Model, error) {
	store, err := from.storeOf(f)()
	if err != nil {
		return nil, err
	}
	snap, faults, err := store.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	tellFaults(f.IO, faults)
	if snap, err = from.onto(ctx, f, snap); err != nil {
		return nil, err
	}
	return tier.New(snap, nil), nil
}

// scopeFlags choose which policies count.
type scopeFlags struct {
	pending bool
	only    string
}

// scope is what the flags say; only must name a staged policy of the snapshot,
// with KIND/ or NAMESPACE/ before its name where that is needed.
func (s scopeFlags) scope(snap *policy.Snapshot, namespace string) (tier.Scope, error) {
	switch {
	case s.pending && s.only != "":
		return tier.Scope{}, cli.Usage("", "--pending and --only can't be given together")
	case s.pending:
		return tier.Pending(), nil
	case s.only == "":
		return tier.Enforced(), nil
	}
	key, err := findStaged(snap, s.only, namespace)
	return tier.Only(key), err
}

// hitReport is what decided, in JSON; Rule is the index of the rule, -1 for
// the end of a tier, -2 where no policy decided, -4 where it is not told.
type hitReport struct {
	Tier      string `json:"tier"`
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Rule      int    `json:"rule"`
	Direction string `json:"direction,omitempty"`
}

func newHitReport(h policy.Hit, dir policy.Direction) hitReport {
	return hitReport{
		Tier: h.Tier, Kind: string(h.Policy.Kind), Namespace: h.Policy.Namespace, Name: h.Policy.Name,
		Rule: h.Rule, Direction: dir.String(),
	}
}

// stepReport is a hit on the way to a verdict, in JSON.
type stepReport struct {
	hitReport
	Action string `json:"action"`
	// PolicyIndex is the policy's place among those that were asked, from 0.
	PolicyIndex int `json:"policyIndex"`
}

func newStepReports(steps []flow.Step, dir policy.Direction) []stepReport {
	var out []stepReport
	for _, s := range steps {
		out = append(out, stepReport{newHitReport(s.Hit, dir), s.Action.String(), s.Index})
	}
	return out
}

// workloadReport is a workload in JSON.
type workloadReport struct {
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"`
	Kind      string `json:"kind"`
}

func newWorkloadReport(w policy.Workload) workloadReport {
	return workloadReport{Namespace: w.Namespace, Workload: w.Name, Kind: string(w.Kind)}
}

// knownNamespaces refuses a namespace that does not exist. What a recording alone
// has no list of resources tells.
func knownNamespaces(s *policy.Snapshot, names []string, recorded bool) error {
	try := "netpol get namespaces"
	if recorded {
		try = "netpol flows --by namespace"
	}
	var known []string
	exists := map[string]bool{}
	for _, ns := range s.Namespaces {
		known = append(known, ns.Name)
		exists[ns.Name] = true
	}
	for _, n := range names {
		if !exists[n] {
			return cli.Unknown("namespace", n, known, try)
		}
	}
	return nil
}
