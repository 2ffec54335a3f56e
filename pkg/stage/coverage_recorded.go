package stage

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Unrecorded are the namespaces, sorted, of staged policies and of the workloads
// that they select, which the flows are no evidence of. Where these were not
// recorded, nor may be the workloads.
func Unrecorded(m *tier.Model, staged []policy.Key, c *flow.Coverage) []string {
	if c == nil {
		return nil
	}
	selected, _ := affected(m, tier.Some(staged...), nil)
	return unrecorded(selected, staged, c, nil)
}

func unrecorded(selected map[policy.Workload]bool, staged []policy.Key, c *flow.Coverage, asked []string) []string {
	if len(c.Namespaces) == 0 {
		return nil
	}
	var out []string
	add := func(ns string) {
		if ns != "" && !slices.Contains(c.Namespaces, ns) && (len(asked) == 0 || slices.Contains(asked, ns)) {
			out = append(out, ns)
		}
	}
	for w := range selected {
		add(w.Namespace)
	}
	for _, key := range staged {
		add(key.Namespace)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
