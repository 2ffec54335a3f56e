package stage

import (
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

func TestRefusedIsWhatNothingHasToBeStagedFor(t *testing.T) {
	enforced := np(policy.KindNetworkPolicy, "redis", "redis", policy.Ingress)
	seenDenied := impactFlow("vote", "redis", 6379, policy.Ingress, 3)
	seenDenied.Enforced.Action = policy.Deny
	opens := np(policy.KindStagedNetworkPolicy, "redis", "redis", policy.Ingress)
	opens.StagedAction = policy.StagedDelete
	for name, tc := range map[string]struct {
		policies []*policy.Policy
		flow     flow.Flow
		want     int
	}{
		"allowed when it was seen":          {[]*policy.Policy{enforced}, impactFlow("vote", "redis", 6379, policy.Ingress, 3), 1},
		"refused when it was seen":          {[]*policy.Policy{enforced}, seenDenied, 0},
		"allowed by what is enforced":       {[]*policy.Policy{enforced}, impactFlow("vote", "db", 5432, policy.Ingress, 3), 0},
		"allowed once a policy is enforced": {[]*policy.Policy{enforced, opens}, impactFlow("vote", "redis", 6379, policy.Ingress, 3), 0},
		"blocked by what is staged":         {[]*policy.Policy{np(policy.KindStagedNetworkPolicy, "redis", "redis", policy.Ingress)}, impactFlow("vote", "redis", 6379, policy.Ingress, 3), 0},
	} {
		m := impactWorld(tc.policies...)
		got, _ := Refused(m, []flow.Flow{tc.flow}, tier.Pending())
		if len(got) != tc.want {
			t.Errorf("%s: got %+v", name, got)
			continue
		}
		if tc.want == 1 && (got[0].BlockedBy == nil || got[0].BlockedBy.Kind != "NetworkPolicy" || got[0].Connections != 3) {
			t.Errorf("%s: got %+v", name, got[0])
		}
	}
}
