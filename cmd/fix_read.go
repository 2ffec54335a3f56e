package cmd

import (
	"context"
	"slices"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// request reads the flags, the policies and the flows.
func (o *FixOptions) request(ctx context.Context) (*evidence, *recommend.FixRequest, error) {
	f := o.Factory
	namespaces, err := namespacesOf(f)
	if err != nil {
		return nil, nil, err
	}
	since, err := parseSince(o.Since, f.Now())
	if err != nil {
		return nil, nil, err
	}
	only, err := parseFlowSets("--only", o.Only)
	if err != nil {
		return nil, nil, err
	}
	exclude, err := parseFlowSets("--exclude", o.Exclude)
	if err != nil {
		return nil, nil, err
	}
	// All flows: what else the edits open or break may be anywhere.
	o.Source.scope = namespaces
	ev, err := gather(ctx, f, &o.Source, flow.Filter{Since: since})
	if err != nil {
		return nil, nil, err
	}
	if err := ev.namespaces(namespaces); err != nil {
		return nil, nil, err
	}
	sensitive, err := sensitiveNamespaces(ctx, ev.store)
	if err != nil {
		return nil, nil, err
	}
	tellUnmatched(f.IO.ErrPrinter(), "--only", o.Only, only, ev)
	tellUnmatched(f.IO.ErrPrinter(), "--exclude", o.Exclude, exclude, ev)
	req := &recommend.FixRequest{
		Model: ev.model, Flows: ev.flows, Staged: !o.Enforce, Namespaces: namespaces,
		Select: recommend.Select{
			IncludeSuspicious: o.IncludeSuspicious, Exclude: exclude, Until: ev.coverage.To,
			Sensitive: func(namespace string) bool { return sensitive[namespace] },
		},
	}
	if len(only) > 0 {
		req.Want = func(fl *flow.Observed) bool {
			return slices.ContainsFunc(only, func(e recommend.Exclude) bool { return e.Match(fl) })
		}
	}
	if o.Policy == "" {
		return ev, req, nil
	}
	p, err := ev.stagedPolicy(o.Policy, namespaces)
	if err != nil {
		return nil, nil, err
	}
	req.Only = p.Key
	return ev, req, nil
}

// parseFlowSets reads --only and --exclude.
func parseFlowSets(flag string, texts []string) ([]recommend.Exclude, error) {
	var out []recommend.Exclude
	for _, text := range texts {
		e, err := recommend.ParseExclude(text)
		if err != nil {
			return nil, cli.Usage(flag+" from=vote/worker,to=192.0.2.0/24,port=tcp/443", "%s %s: %s", flag, text, err)
		}
		out = append(out, e)
	}
	return out, nil
}
