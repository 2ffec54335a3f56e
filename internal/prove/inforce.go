package prove

import (
	"cmp"
	"math"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// inForce is the policies that count in a scope.
func (w *World) inForce(scope Scope) []*Policy {
	var out []*Policy
	for _, p := range w.Policies {
		if !p.Kind.Staged() { // S26: staged policies are never enforced
			out = append(out, p)
		}
	}
	for _, p := range w.Policies {
		if !p.Kind.Staged() || !scope.All && p.Key() != scope.Only && !slices.Contains(scope.Some, p.Key()) { // S28
			continue
		}
		if p.StagedAction == "Ignore" { // S27: Ignore is absent
			continue
		}
		// S27: Set, Learn and Delete take away the enforced policy of the same
		// kind, namespace and name ...
		out = slices.DeleteFunc(out, func(e *Policy) bool {
			return e.Kind == p.Kind.Enforced() && e.Namespace == p.Namespace && e.Name == p.Name
		})
		if p.StagedAction != "Delete" { // ... and Set and Learn take its place.
			out = append(out, p)
		}
	}
	return out
}

// tierInForce is a tier with its defaults filled in.
type tierInForce struct {
	name          string
	order         float64
	defaultAction policy.Action
	missing       bool
}

// tiers are all tiers in the order in which they are visited.
func (w *World) tiers(inForce []*Policy) []tierInForce {
	// S1: the built-in tiers.
	out := []tierInForce{
		{name: "default", order: 1_000_000, defaultAction: policy.Deny},
		{name: "kube-admin", order: 1_000, defaultAction: policy.Pass},
		{name: "kube-baseline", order: 10_000_000, defaultAction: policy.Pass},
	}
	for _, t := range w.Tiers {
		if t.Name == "default" { // written down as it is
			continue
		}
		next := tierInForce{name: t.Name, order: orderOf(t.Order), defaultAction: policy.Deny}
		if t.DefaultAction == "Pass" { // S8: Deny unless it says Pass
			next.defaultAction = policy.Pass
		}
		out = append(out, next)
	}
	// S13: a tier that does not exist comes after all valid ones, ends in deny.
	for _, p := range inForce {
		exists := slices.ContainsFunc(out, func(t tierInForce) bool { return t.name == p.tier() })
		if !exists {
			out = append(out, tierInForce{name: p.tier(), order: math.Inf(1), defaultAction: policy.Deny, missing: true})
		}
	}
	slices.SortFunc(out, func(a, b tierInForce) int {
		if a.missing != b.missing {
			if b.missing {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.name, b.name)) // S1
	})
	return out
}

// policies are the policies of a tier, in order (S2).
func (w *World) policies(t tierInForce, inForce []*Policy) []*Policy {
	var out []*Policy
	for _, p := range inForce {
		if p.tier() == t.name {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *Policy) int {
		return cmp.Or(
			cmp.Compare(a.order(), b.order()),
			cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Namespace, b.Namespace),
			cmp.Compare(a.Kind.Enforced(), b.Kind.Enforced()))
	})
	return out
}

func (p *Policy) tier() string {
	if p.Cluster != nil {
		return map[string]string{"Admin": "kube-admin", "Baseline": "kube-baseline"}[p.Cluster.Tier]
	}
	if p.Tier == "" { // also S4: a Kubernetes policy sits in tier default
		return "default"
	}
	return p.Tier
}

func (p *Policy) order() float64 {
	if p.Kube != nil {
		return 1000 // S4
	}
	if p.Cluster != nil {
		return float64(p.Cluster.Priority)
	}
	return orderOf(p.Order)
}

func orderOf(order *float64) float64 {
	if order == nil {
		return math.Inf(1) // S1, S2: no order is last
	}
	return *order
}
