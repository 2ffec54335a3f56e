package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// reports: the report names each of the flows, blocked by the policy.
func reports(policy string, flows ...string) func(context.Context, *run) error {
	flows = slices.Sorted(slices.Values(flows))
	return func(ctx context.Context, r *run) error {
		var d reportDocument
		if err := r.json(ctx, &d, "report", policy, "--ns", "vote"); err != nil {
			return err
		}
		var seen []string
		for _, i := range d.Items {
			if i.BlockedBy != nil && i.BlockedBy.Name != policy {
				return fmt.Errorf("%s would be blocked by %s", i, i.BlockedBy.Name)
			}
			seen = append(seen, i.String())
		}
		slices.Sort(seen)
		seen = slices.Compact(seen)
		if !slices.Equal(seen, flows) {
			return fmt.Errorf("it has these: %s", strings.Join(seen, ", "))
		}
		return nil
	}
}

// nothingWouldBreak: the report says that 0 would be blocked.
func nothingWouldBreak(policy string) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		var d reportDocument
		if err := r.json(ctx, &d, "report", policy, "--ns", "vote"); err != nil {
			return err
		}
		if d.Summary.Flows.Observed == 0 {
			return fmt.Errorf("it has seen no flows")
		}
		if d.Summary.Flows.WouldBlock > 0 {
			return fmt.Errorf("%d flows would be blocked, such as %s", d.Summary.Flows.WouldBlock, d.Items[0])
		}
		return nil
	}
}

// probesStayOut: no flow between workloads that only a probe connects.
func probesStayOut(ctx context.Context, r *run) error {
	var d flowsDocument
	if err := r.json(ctx, &d, "flows"); err != nil {
		return err
	}
	for _, i := range d.Items {
		if i.Source.Workload == "db" || i.Source.Workload == "redis" {
			return fmt.Errorf("it has %s, which only the probe connects", i)
		}
	}
	var with flowsDocument
	if err := r.json(ctx, &with, "flows", "--include-probes"); err != nil {
		return err
	}
	if len(with.Items) <= len(d.Items) {
		return fmt.Errorf("flows --include-probes shows no more than flows")
	}
	return nil
}

// inTier: an enforced policy of the namespace vote is in a tier.
func inTier(name, tier string) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		var d struct {
			Items []struct {
				Kind     string
				Metadata struct{ Name string }
				Spec     struct{ Tier, Selector string }
			}
		}
		if err := r.json(ctx, &d, "get", "policies", "--ns", "vote"); err != nil {
			return err
		}
		for _, p := range d.Items {
			if strings.TrimPrefix(p.Metadata.Name, p.Spec.Tier+".") == name && p.Kind == "NetworkPolicy" {
				if p.Spec.Tier != tier {
					return fmt.Errorf("it is in tier %q", p.Spec.Tier)
				}
				return nil
			}
		}
		return fmt.Errorf("there is no enforced policy %q", name)
	}
}
