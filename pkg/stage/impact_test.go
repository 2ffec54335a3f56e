package stage

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
	"github.com/netpol-project/netpol/pkg/tier"
)

var seen = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// impactWorld is the voting application: vote → redis, worker → redis and db,
// and a client outside.
func impactWorld(policies ...*policy.Policy) *tier.Model {
	s := &policy.Snapshot{
		Tiers:      []*policy.Tier{{Name: "sec", Order: 100, DefaultAction: policy.Deny}},
		Namespaces: []*policy.Namespace{{Name: "vote", Labels: selector.Labels{"kubernetes.io/metadata.name": "vote", "projectcalico.org/name": "vote"}}},
		Policies:   policies,
	}
	for i, app := range []string{"db", "redis", "vote", "worker"} {
		s.Endpoints = append(s.Endpoints, impactPod(app, app+"-1", byte(i+1)))
	}
	return tier.New(s, nil)
}

func impactPod(app, name string, addr byte) *policy.Endpoint {
	return &policy.Endpoint{
		Namespace: "vote", Name: name, Node: "n1",
		Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: "vote", Name: app},
		Labels:   selector.Labels{"app": app, "projectcalico.org/namespace": "vote"},
		Addrs:    []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, addr})},
	}
}

func impactFlow(from, to string, port uint16, dir policy.Direction, n int64) flow.Flow {
	return flow.Flow{
		Key: flow.Key{
			Source: impactPeer(from), Destination: impactPeer(to), Protocol: policy.TCP, Port: port, Direction: dir,
			Enforced: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow},
		},
		FirstSeen: seen, LastSeen: seen.Add(time.Minute), Connections: n, Completed: n,
	}
}

func impactPeer(name string) flow.Peer {
	if a, err := netip.ParseAddr(name); err == nil {
		return flow.Peer{Kind: flow.PeerNetwork, Addr: a}
	}
	if name == "n1" || name == "n2" {
		return flow.Peer{Kind: flow.PeerHost, Workload: policy.Workload{Name: name}}
	}
	return flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: policy.KindDeployment, Namespace: "vote", Name: name}}
}

func stagedDeny(types ...policy.Direction) *policy.Policy {
	p := &policy.Policy{
		Key:  policy.Key{Kind: policy.KindStagedGlobalNetworkPolicy, Name: "default-deny"},
		Tier: "default", Order: policy.Unordered, StagedAction: policy.StagedSet,
		NamespaceSelector: selector.MustParse("kubernetes.io/metadata.name == 'vote'"),
	}
	for _, d := range types {
		p.Types[d] = true
	}
	return p
}

// np is a NetworkPolicy of tier sec for the pods of one app.
func np(kind policy.Kind, name, app string, dir policy.Direction, rules ...policy.Rule) *policy.Policy {
	p := &policy.Policy{
		Key:  policy.Key{Kind: kind, Namespace: "vote", Name: name},
		Tier: "sec", Order: policy.Unordered, Selector: selector.MustParse("app == '" + app + "'"),
	}
	p.Types[dir], p.Rules[dir] = true, rules
	if kind.Staged() {
		p.StagedAction = policy.StagedSet
	}
	return p
}

func allowFrom(sel string) policy.Rule {
	return policy.Rule{Action: policy.Allow, Source: policy.Entity{Selector: selector.MustParse(sel)}}
}

func sortedPolicies(p ...*policy.Policy) []*policy.Policy {
	slices.SortFunc(p, tier.ComparePolicies)
	return p
}

func TestS28_ImpactOfADefaultDeny(t *testing.T) {
	flows := []flow.Flow{
		impactFlow("vote", "redis", 6379, policy.Egress, 10),
		impactFlow("vote", "redis", 6379, policy.Ingress, 10),
		impactFlow("192.0.2.7", "vote", 80, policy.Ingress, 5),
		impactFlow("n1", "vote", 80, policy.Ingress, 7), // the kubelet's probe (S12)
	}
	deny := stagedDeny(policy.Ingress, policy.Egress)
	got := Impact(impactWorld(deny), flows, tier.Only(deny.Key))
	by := By{Tier: "default", Kind: "StagedGlobalNetworkPolicy", Name: "default-deny", Rule: -1}
	reason := "end of tier default: no rule of StagedGlobalNetworkPolicy default-deny or another policy decides"
	peer := func(app string) Peer { return Peer{Namespace: "vote", Workload: app, Kind: "Deployment"} }
	want := &Report{
		Summary: Summary{
			Flows:       Counts{Observed: 3, WouldBlock: 2},
			Connections: Counts{Observed: 22, WouldBlock: 15},
		},
		Items: []Item{{
			Source: peer("vote"), Destination: peer("redis"), Port: flow.Port{Protocol: "TCP", Port: 6379},
			Direction: "Egress", Connections: 10, FirstSeen: seen, LastSeen: seen.Add(time.Minute),
			BlockedBy: &by, AlsoBlockedBy: &ByDirection{Direction: "Ingress", By: by}, Reason: reason,
		}, {
			Source: Peer{Kind: "Network", Address: "192.0.2.7"}, Destination: peer("vote"), Port: flow.Port{Protocol: "TCP", Port: 80},
			Direction: "Ingress", Connections: 5, FirstSeen: seen, LastSeen: seen.Add(time.Minute),
			BlockedBy: &by, Reason: reason,
		}},
		WouldAllow: []Item{}, Undecided: []Item{}, Gone: []Item{},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestS26_NothingStagedNothingBlocked(t *testing.T) {
	flows := []flow.Flow{impactFlow("vote", "redis", 6379, policy.Egress, 10)}
	got := Impact(impactWorld(), flows, tier.Pending())
	if got.Summary.Flows != (Counts{Observed: 1}) || got.Items == nil || len(got.Items) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestS27_StagedTighteningReplaces(t *testing.T) {
	enforced := np(policy.KindNetworkPolicy, "db", "db", policy.Ingress, allowFrom("app in {'worker', 'vote'}"))
	staged := np(policy.KindStagedNetworkPolicy, "db", "db", policy.Ingress, allowFrom("app == 'worker'"))
	flows := []flow.Flow{
		impactFlow("worker", "db", 5432, policy.Ingress, 3),
		impactFlow("vote", "db", 5432, policy.Ingress, 2),
		impactFlow("redis", "db", 5432, policy.Ingress, 9), // refused now and then
	}
	got := Impact(impactWorld(sortedPolicies(enforced, staged)...), flows, tier.Pending())
	if len(got.Items) != 1 || got.Items[0].Source.Workload != "vote" || got.Summary.Connections.WouldBlock != 2 {
		t.Errorf("got %+v, want vote → db only", got.Items)
	}
}

func TestS27_StagedDeleteOpens(t *testing.T) {
	enforced := np(policy.KindNetworkPolicy, "db", "db", policy.Ingress, allowFrom("app == 'worker'"))
	staged := np(policy.KindStagedNetworkPolicy, "db", "db", policy.Ingress)
	staged.StagedAction = policy.StagedDelete
	flows := []flow.Flow{
		impactFlow("worker", "db", 5432, policy.Ingress, 3),
		impactFlow("vote", "db", 5432, policy.Ingress, 2),
	}
	got := Impact(impactWorld(sortedPolicies(enforced, staged)...), flows, tier.Only(staged.Key))
	if len(got.Items) != 0 || len(got.WouldAllow) != 1 || got.WouldAllow[0].Source.Workload != "vote" {
		t.Fatalf("blocked %+v, allowed %+v; want vote → db allowed", got.Items, got.WouldAllow)
	}
	if by := got.WouldAllow[0].BlockedBy; by == nil || by.Name != "db" || by.Rule != -1 {
		t.Errorf("blocked now by %+v, want the end of db", by)
	}
}

func TestS28_OneStagedAloneLeavesTheOthersOut(t *testing.T) {
	deny := stagedDeny(policy.Ingress)
	redis := np(policy.KindStagedNetworkPolicy, "redis", "redis", policy.Ingress, allowFrom("app == 'vote'"))
	m := impactWorld(sortedPolicies(deny, redis)...)
	flows := []flow.Flow{
		impactFlow("vote", "redis", 6379, policy.Ingress, 1),
		impactFlow("vote", "db", 5432, policy.Ingress, 1),
	}
	if got := Impact(m, flows, tier.Only(deny.Key)); got.Summary.Flows.WouldBlock != 2 {
		t.Errorf("default-deny alone: %d, want 2", got.Summary.Flows.WouldBlock)
	}
	if got := Impact(m, flows, tier.Pending()); got.Summary.Flows.WouldBlock != 1 {
		t.Errorf("all staged: %d, want 1", got.Summary.Flows.WouldBlock)
	}
	if got := Impact(m, flows, tier.Only(redis.Key)); got.Summary.Flows.WouldBlock != 0 {
		t.Errorf("redis alone: %d, want 0", got.Summary.Flows.WouldBlock)
	}
}

func TestS10_ImpactJudgesBothEnds(t *testing.T) {
	// Reported at the source only, refused by the destination's policy.
	redis := np(policy.KindStagedNetworkPolicy, "redis", "redis", policy.Ingress, allowFrom("app == 'worker'"))
	flows := []flow.Flow{impactFlow("vote", "redis", 6379, policy.Egress, 4)}
	got := Impact(impactWorld(redis), flows, tier.Pending())
	if len(got.Items) != 1 || got.Items[0].Direction != "Ingress" || got.Items[0].BlockedBy.Name != "redis" {
		t.Errorf("got %+v", got.Items)
	}
}

func TestImpactListsWhatIsGoneApart(t *testing.T) {
	deny := stagedDeny(policy.Ingress, policy.Egress)
	flows := []flow.Flow{impactFlow("result", "db", 5432, policy.Ingress, 4)}
	got := Impact(impactWorld(deny), flows, tier.Pending())
	if len(got.Items) != 0 || len(got.Gone) != 1 || got.Summary.Flows != (Counts{Observed: 1, Gone: 1}) {
		t.Fatalf("got %+v", got)
	}
	if want := "vote/result has no pods any more"; got.Gone[0].Reason != want {
		t.Errorf("reason %q, want %q", got.Gone[0].Reason, want)
	}
}

func TestImpactOfPodsThatDiffer(t *testing.T) {
	// The second pod of worker carries a label that the rule wants.
	staged := np(policy.KindStagedNetworkPolicy, "db", "db", policy.Ingress, allowFrom("canary == 'yes'"))
	s := *impactWorld(staged).Snapshot()
	canary := impactPod("worker", "worker-2", 9)
	canary.Labels = selector.Labels{"app": "worker", "canary": "yes", "projectcalico.org/namespace": "vote"}
	s.Endpoints = append(slices.Clone(s.Endpoints), canary)
	got := Impact(tier.New(&s, nil), []flow.Flow{impactFlow("worker", "db", 5432, policy.Ingress, 4)}, tier.Pending())
	if len(got.Items) != 1 || got.Items[0].PodPairs == nil || *got.Items[0].PodPairs != (PodPairs{Affected: 1, All: 2}) {
		t.Errorf("got %+v, want one of two pod pairs blocked", got.Items)
	}
}

func TestS32_ImpactOfAPodOnItself(t *testing.T) {
	deny := stagedDeny(policy.Ingress, policy.Egress)
	flows := []flow.Flow{impactFlow("redis", "redis", 6379, policy.Egress, 4)}
	if got := Impact(impactWorld(deny), flows, tier.Pending()); got.Summary.Flows.WouldBlock != 0 {
		t.Errorf("one pod talks to itself: got %+v", got.Items)
	}
	s := *impactWorld(deny).Snapshot()
	s.Endpoints = append(slices.Clone(s.Endpoints), impactPod("redis", "redis-2", 9))
	if got := Impact(tier.New(&s, nil), flows, tier.Pending()); got.Summary.Flows.WouldBlock != 1 {
		t.Errorf("two replicas talk to each other: got %+v", got.Items)
	}
}
