package cmd

import (
	"context"
	"slices"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/recommend"
	"github.com/netpol-project/netpol/pkg/stage"
	"github.com/netpol-project/netpol/pkg/tier"
)

// recommendRequest reads the flags and what is there already.
func recommendRequest(ctx context.Context, opts *RecommendOptions, ev *evidence, namespaces []string) (*recommend.Request, error) {
	snap := ev.snap
	if err := ev.namespaces(namespaces); err != nil {
		return nil, err
	}
	if opts.Tier != tier.DefaultTier {
		if _, err := ev.tier(opts.Tier); err != nil {
			return nil, err
		}
	}
	targets, err := recommendTargets(opts, snap, namespaces)
	if err != nil {
		return nil, err
	}
	mine, err := recommendedBefore(ctx, ev.store)
	if err != nil {
		return nil, err
	}
	req := &recommend.Request{
		Model: ev.model, Flows: ev.flows, Targets: targets, Tier: opts.Tier, Staged: !opts.Enforce,
		Mine: func(k policy.Key) bool { return mine[k] },
	}
	if err := opts.Rules.fill(req); err != nil {
		return nil, err
	}
	req.Until = ev.coverage.To
	tellUnmatched(opts.Factory.IO.ErrPrinter(), "--exclude", opts.Rules.Exclude, req.Exclude, ev)
	sensitive, err := sensitiveNamespaces(ctx, ev.store)
	req.Sensitive = func(namespace string) bool { return sensitive[namespace] }
	return req, err
}

// sensitiveNamespaces are those whose annotation marks them so; the model knows
// the label.
func sensitiveNamespaces(ctx context.Context, store cluster.Store) (map[string]bool, error) {
	objects, err := store.List(ctx, policy.KindNamespace, "")
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, o := range objects {
		if o.GetAnnotations()[recommend.SensitiveMark] == "true" {
			out[o.GetName()] = true
		}
	}
	return out, nil
}

// recommendTargets are the workloads asked for: those named, or all of the
// namespaces, or with -A all but the cluster's own.
func recommendTargets(opts *RecommendOptions, snap *policy.Snapshot, namespaces []string) ([]policy.Workload, error) {
	f := opts.Factory
	if len(namespaces) == 0 && !f.AllNamespaces() && len(opts.Workloads) == 0 {
		return nil, cli.Usage("netpol recommend --ns NAMESPACE", "which workloads? Give a namespace (--ns), a workload (--workload) or -A")
	}
	var all []policy.Workload
	var known []string
	for _, ep := range snap.Endpoints {
		w := ep.Workload
		inScope := slices.Contains(namespaces, w.Namespace) ||
			len(namespaces) == 0 && (len(opts.Workloads) > 0 || !slices.Contains(stage.Exempt(), w.Namespace))
		if inScope && !slices.Contains(all, w) {
			all = append(all, w)
			known = append(known, w.Name, w.String())
		}
	}
	if len(opts.Workloads) == 0 {
		return all, nil
	}
	var out []policy.Workload
	for _, name := range opts.Workloads {
		n := len(out)
		for _, w := range all {
			if w.String() == name || w.Name == name {
				out = append(out, w)
			}
		}
		if len(out) == n {
			return nil, cli.Unknown("workload", name, known, "netpol connectivity"+flagsOf(namespaces))
		}
	}
	return out, nil
}

// recommendedBefore are the policies that recommend wrote: they carry its
// annotation.
func recommendedBefore(ctx context.Context, store cluster.Store) (map[policy.Key]bool, error) {
	out := map[policy.Key]bool{}
	for _, kind := range []policy.Kind{policy.KindNetworkPolicy, policy.KindStagedNetworkPolicy} {
		objects, err := store.List(ctx, kind, "")
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			if o.GetAnnotations()[recommend.Annotation] == "true" {
				out[policy.Key{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}] = true
			}
		}
	}
	return out, nil
}
