package lint

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// passNowhere finds Pass rules of policies none of whose endpoints has a
// policy in a later tier.
func (r *run) passNowhere() {
	type at struct {
		policy *policy.Policy
		dir    policy.Direction
	}
	later := map[at]bool{} // some endpoint has a policy in a later tier
	for _, pr := range r.profiles {
		for _, p := range pr.policies {
			if scopeOf(p) == pr.scope && pr.policies[len(pr.policies)-1].Tier != p.Tier {
				later[at{p, pr.dir}] = true
			}
		}
	}
	for _, p := range r.policies {
		for _, d := range acts(p) {
			i := slices.IndexFunc(p.Rules[d], func(rule policy.Rule) bool { return rule.Action == policy.Pass })
			if i < 0 || later[at{p, d}] || len(r.selected[p][d]) == 0 {
				continue
			}
			r.warn(p, policy.Fault{Code: "pass-nowhere", Field: fmt.Sprintf("%s[%d]", rulesField(d), i),
				Reason: fmt.Sprintf("no later tier has a policy for %s, so what passes here is allowed", workloads(r.selected[p][d])),
				Fix:    "write Allow if that is meant, or add a policy in a later tier"})
		}
	}
}

// tierTies finds tiers with policies whose order says the same.
func (r *run) tierTies() {
	used := map[string]bool{}
	for _, p := range r.policies {
		used[p.Tier] = true
	}
	tiers := slices.DeleteFunc(r.snap.AllTiers(), func(t *policy.Tier) bool { return !used[t.Name] })
	slices.SortFunc(tiers, tier.CompareTiers)
	for i := range tiers {
		if i == 0 || tiers[i].Order != tiers[i-1].Order {
			continue
		}
		t, before := tiers[i], tiers[i-1]
		if t.Origin.Line == 0 {
			t, before = before, t
		}
		f := policy.Fault{Key: policy.Key{Kind: policy.KindTier, Name: t.Name}, Origin: t.Origin, Warning: true, Code: "tier-tie",
			Field: "spec.order", Reason: "tier " + before.Name + " has the same order, so their names decide which is asked first",
			Fix: "give them different orders"}
		if math.IsInf(t.Order, 0) {
			f.Reason = strings.Replace(f.Reason, "has the same order", "has no order either", 1)
		}
		r.faults = append(r.faults, f)
	}
}
