package stage

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Taking back several enforced policies, as netpol unenforce does, is planned as
// promoting them is: at every moment a connection has the verdict of before or
// that of after.
func TestPropertyPlanOfDeletionsLeavesNoGap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		denies := rapid.Bool().Draw(t, "denies")
		drawn := drawPromotion(t, denies).Snapshot()
		var list []*policy.Policy
		var keys []policy.Key
		for _, p := range drawn.Policies {
			if p.Kind.Staged() {
				continue
			}
			list = append(list, p)
			if rapid.IntRange(0, 3).Draw(t, p.Name+" stays") > 0 {
				gone := *p
				gone.Key, _ = Twin(p.Key)
				gone.StagedAction = policy.StagedDelete
				list, keys = append(list, &gone), append(keys, gone.Key)
			}
		}
		m := tier.New(drawn.WithPolicies(list), nil)
		plan := NewPlan(m, keys, noConns)
		if plan.Gap != nil && !denies {
			t.Fatalf("%s would be refused after %v", plan.Gap.What, plan.Gap.After)
		}
		checkPlan(t, m, plan, false)
	})
}
