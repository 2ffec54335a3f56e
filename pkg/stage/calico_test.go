package stage_test

import (
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

func TestS27_WhereCalicoJudgesOtherwise(t *testing.T) {
	const np, snp = policy.KindNetworkPolicy, policy.KindStagedNetworkPolicy
	p := func(kind policy.Kind, name, tier string, order float64, action policy.StagedAction) *policy.Policy {
		return &policy.Policy{Key: policy.Key{Kind: kind, Namespace: "ns", Name: name}, Tier: tier, Order: order, StagedAction: action}
	}
	for name, c := range map[string]struct {
		policies []*policy.Policy // by key
		want     string           // in the one reason; empty: none
	}{
		"a new policy":           {[]*policy.Policy{p(snp, "a", "default", 1, policy.StagedSet)}, ""},
		"a replacement":          {[]*policy.Policy{p(np, "a", "default", 1, ""), p(snp, "a", "default", 1, policy.StagedSet)}, "NetworkPolicy ns/a, which Calico's trace goes on asking first"},
		"learned, later":         {[]*policy.Policy{p(np, "a", "default", 1, ""), p(snp, "a", "default", 2, policy.StagedLearn)}, "asking first"},
		"earlier":                {[]*policy.Policy{p(np, "a", "default", 2, ""), p(snp, "a", "default", 1, policy.StagedSet)}, "asking after it"},
		"to another tier":        {[]*policy.Policy{p(np, "a", "sec", 1, ""), p(snp, "a", "default", 1, policy.StagedSet)}, "in tier sec"},
		"a deletion":             {[]*policy.Policy{p(np, "a", "default", 1, ""), p(snp, "a", "default", 1, policy.StagedDelete)}, "stages the deletion of NetworkPolicy ns/a"},
		"a deletion of nothing":  {[]*policy.Policy{p(snp, "a", "default", 1, policy.StagedDelete)}, ""},
		"ignored":                {[]*policy.Policy{p(np, "a", "default", 1, ""), p(snp, "a", "default", 1, policy.StagedIgnore)}, ""},
		"another's name is none": {[]*policy.Policy{p(np, "b", "default", 1, ""), p(snp, "a", "default", 1, policy.StagedSet)}, ""},
	} {
		got := stage.CalicoDiffers(&policy.Snapshot{Policies: c.policies})
		switch {
		case c.want == "" && len(got) == 0:
		case len(got) != 1 || c.want == "" || !strings.Contains(got[0].Reason, c.want) || got[0].Kind != string(snp) || got[0].Name != "a":
			t.Errorf("%s: %+v", name, got)
		}
	}
}
