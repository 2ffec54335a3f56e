package stage

import (
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// groupText is a group's name and what it counts, as name=blocked/allowed.
func groupTexts(groups []Group) string {
	var out []string
	for _, g := range groups {
		name := strings.Trim(strings.ReplaceAll(g.name(), "\x00", " "), " ")
		out = append(out, name+"="+strings.Join([]string{digits(g.Flows.WouldBlock), digits(g.Connections.WouldBlock), digits(g.Flows.WouldAllow)}, "/"))
	}
	return strings.Join(out, "; ")
}

func digits(n int64) string { return string(rune('0' + n)) }

func TestGroupsSumUpWhatWouldChange(t *testing.T) {
	deny := stagedDeny(policy.Ingress, policy.Egress)
	flows := []flow.Flow{
		impactFlow("vote", "redis", 6379, policy.Egress, 3),
		impactFlow("vote", "redis", 80, policy.Egress, 1),
		impactFlow("worker", "db", 5432, policy.Ingress, 2),
		impactFlow("192.0.2.7", "vote", 80, policy.Ingress, 1),
		impactFlow("n2", "vote", 80, policy.Ingress, 1),
	}
	r := Impact(impactWorld(deny), flows, tier.Only(deny.Key))
	for by, want := range map[GroupBy]string{
		ByWorkload:  "192.0.2.7 vote/vote=1/1/0; n2 vote/vote=1/1/0; vote/vote vote/redis=2/4/0; vote/worker vote/db=1/2/0",
		ByNamespace: "(nodes) vote=1/1/0; (outside) vote=1/1/0; vote vote=3/6/0",
		ByPolicy:    "default: StagedGlobalNetworkPolicy default-deny=5/8/0",
		ByPort:      "TCP/5432=1/2/0; TCP/6379=1/3/0; TCP/80=3/3/0",
	} {
		if got := groupTexts(r.Groups(by)); got != want {
			t.Errorf("by %s: got %s\nwant %s", by, got, want)
		}
	}
	if got := r.Groups(ByWorkload)[2].Ports; strings.Join(got, " ") != "TCP/6379 TCP/80" {
		t.Errorf("ports %v", got)
	}
}

func TestS28_AFlowThatTwoPoliciesRefuseIsInTheGroupsOfBoth(t *testing.T) {
	out := np(policy.KindStagedNetworkPolicy, "vote", "vote", policy.Egress)
	in := np(policy.KindStagedNetworkPolicy, "redis", "redis", policy.Ingress)
	flows := []flow.Flow{impactFlow("vote", "redis", 6379, policy.Egress, 3)}
	r := Impact(impactWorld(sortedPolicies(out, in)...), flows, tier.Pending())
	want := "sec: StagedNetworkPolicy vote/redis=1/3/0; sec: StagedNetworkPolicy vote/vote=1/3/0"
	if got := groupTexts(r.Groups(ByPolicy)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestS27_GroupsCountWhatAStagedDeletionOpens(t *testing.T) {
	enforced := np(policy.KindNetworkPolicy, "db", "db", policy.Ingress, allowFrom("app == 'worker'"))
	staged := np(policy.KindStagedNetworkPolicy, "db", "db", policy.Ingress)
	staged.StagedAction = policy.StagedDelete
	flows := []flow.Flow{impactFlow("worker", "db", 5432, policy.Ingress, 3), impactFlow("vote", "db", 5432, policy.Ingress, 2)}
	r := Impact(impactWorld(sortedPolicies(enforced, staged)...), flows, tier.Pending())
	if got, want := groupTexts(r.Groups(ByPolicy)), "sec: NetworkPolicy vote/db=0/0/1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestS27_IgnoredCountsForNothing(t *testing.T) {
	staged := np(policy.KindStagedNetworkPolicy, "db", "db", policy.Ingress)
	staged.StagedAction = policy.StagedIgnore
	flows := []flow.Flow{impactFlow("worker", "db", 5432, policy.Ingress, 3)}
	for _, scope := range []tier.Scope{tier.Pending(), tier.Only(staged.Key)} {
		if r := Impact(impactWorld(staged), flows, scope); r.Summary.Flows.WouldBlock != 0 {
			t.Errorf("%v: %+v", scope, r.Items)
		}
	}
}
