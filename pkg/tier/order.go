package tier

import (
	"cmp"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// DefaultTier is the tier of policies that name none.
const DefaultTier = "default"

// CompareTiers is the order in which tiers are visited: by order, then by
// name (S1).
func CompareTiers(a, b *policy.Tier) int {
	return cmp.Or(cmp.Compare(a.Order, b.Order), cmp.Compare(a.Name, b.Name))
}

// ComparePolicies is the order of policies within a tier: by order, then by
// name, namespace and kind, part by part (S2). A staged kind counts as the
// kind that it becomes.
func ComparePolicies(a, b *policy.Policy) int {
	return cmp.Or(
		cmp.Compare(a.Order, b.Order),
		cmp.Compare(a.Name, b.Name),
		cmp.Compare(a.Namespace, b.Namespace),
		cmp.Compare(a.Kind.Enforced(), b.Kind.Enforced()),
	)
}

// orderTiers lists the tiers in the order they are visited: those of the
// snapshot, the built-in ones, and after them the ones that policies name but
// that do not exist, which end in deny (S13).
func orderTiers(s *policy.Snapshot) []*policy.Tier {
	out := s.AllTiers()
	known := make(map[string]bool, len(out))
	for _, t := range out {
		known[t.Name] = true
	}
	slices.SortFunc(out, CompareTiers)
	var missing []*policy.Tier
	for _, p := range s.Policies {
		if !known[p.Tier] {
			known[p.Tier] = true
			missing = append(missing, &policy.Tier{Name: p.Tier, Order: policy.Unordered, DefaultAction: policy.Deny})
		}
	}
	slices.SortFunc(missing, CompareTiers)
	return append(out, missing...)
}
