package flow_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

func snapshot() *policy.Snapshot {
	pod := func(name string, kind policy.Kind, workload string) *policy.Endpoint {
		return &policy.Endpoint{Namespace: "ns", Name: name, Workload: policy.Workload{Kind: kind, Namespace: "ns", Name: workload}}
	}
	return &policy.Snapshot{
		Endpoints: []*policy.Endpoint{
			pod("backup-29331455-x7k2p", policy.KindCronJob, "backup"), pod("bare", policy.KindPod, "bare"),
			pod("both-0", policy.KindStatefulSet, "both"), pod("both-zzzzz", policy.KindDaemonSet, "both"),
			pod("db-0", policy.KindStatefulSet, "db"), pod("made-up", policy.KindDeployment, "made-up"),
			pod("vote-6d8b9c7f5-abcde", policy.KindDeployment, "vote"),
		},
		Policies: []*policy.Policy{
			{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: "db"}, Tier: "platform"},
			{Key: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: "platform.web"}, Tier: "platform"},
		},
	}
}

func TestNamesFindWorkloads(t *testing.T) {
	n := flow.NewNames(snapshot())
	for _, c := range []struct {
		why, name, hash string
		kind            policy.Kind
		want            string
	}{
		{"pods of a ReplicaSet that is there", "vote-6d8b9c7f5-*", "", policy.KindDeployment, "vote"},
		{"one of its pods", "vote-6d8b9c7f5-abcde", "", policy.KindDeployment, "vote"},
		{"a former ReplicaSet, told by the label", "vote-abc-*", "abc", policy.KindDeployment, "vote"},
		{"a former ReplicaSet, told by the name", "vote-7c5ddbdf54-*", "", policy.KindDeployment, "vote"},
		{"a Deployment that is gone", "gone-7c5ddbdf54-*", "", "", "gone"},
		{"a StatefulSet", "db-*", "", policy.KindStatefulSet, "db"},
		{"a pod of its own", "bare", "", policy.KindPod, "bare"},
		{"a workload without pods here", "made-up-7c5ddbdf54-*", "", policy.KindDeployment, "made-up"},
		{"a former Job of a CronJob", "backup-29331111-*", "", policy.KindCronJob, "backup"},
		{"two workloads of one name", "both-*", "", "", "both"},
		{"nothing that is known", "some-thing-*", "", "", "some-thing"},
		{"a word is no hash", "some-frontend-*", "", "", "some-frontend"},
	} {
		labels := map[string]string{}
		if c.hash != "" {
			labels["pod-template-hash"] = c.hash
		}
		f := flow.Flow{SourceLabels: labels}
		f.Source = flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Namespace: "ns", Name: c.name}}
		want := policy.Workload{Kind: c.kind, Namespace: "ns", Name: c.want}
		if got := n.Flow(f).Source.Workload; got != want {
			t.Errorf("%s: %s is %v, want %v", c.why, c.name, got, want)
		}
	}
	ours := flow.Peer{Kind: flow.PeerWorkload, Workload: policy.Workload{Kind: policy.KindReplicaSet, Namespace: "ns", Name: "vote-6d8b9c7f5-*"}}
	if got := n.Flow(flow.Flow{Key: flow.Key{Source: ours}}).Source; got != ours {
		t.Errorf("what netpol named changed: %v", got)
	}
}

func TestNamesOfPolicies(t *testing.T) {
	n := flow.NewNames(snapshot())
	for name, want := range map[string]string{
		"platform.db": "db", "db": "db", "platform.web": "platform.web", "platform.gone": "platform.gone", "security.db": "security.db",
	} {
		hit := policy.Hit{Tier: "platform", Policy: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "ns", Name: name}}
		f := flow.Flow{Key: flow.Key{Enforced: hit, Pending: hit}, EnforcedTrace: []flow.Step{{Hit: hit, Index: 3}}}
		got := n.Flow(f)
		if got.Enforced.Policy.Name != want || got.Pending.Policy.Name != want || got.EnforcedTrace[0].Policy.Name != want || got.EnforcedTrace[0].Index != 3 {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestNamedSumsUpWhatIsAlike(t *testing.T) {
	now, before := listed(t)[0], listed(t)[0]
	for f, name := range map[*string]string{&now.Key.SourceName: "vote-6d8b9c7f5-*", &before.Key.SourceName: "vote-7c5ddbdf54-*"} {
		*f = name
	}
	now.Key.SourceNamespace, before.Key.SourceNamespace = "ns", "ns"
	before.SourceLabels = []string{"app=p1"}
	_, src := goldmane(t, now, before)
	src = flow.Named(src, flow.NewNames(snapshot()))
	for _, f := range []flow.Filter{{}, {From: "ns/vote"}, {Workload: "vote"}} {
		flows, _, err := src.List(t.Context(), f)
		if err != nil || len(flows) != 1 || flows[0].Connections != 6 || flows[0].Source.String() != "ns/vote" {
			t.Fatalf("%+v: %v %v", f, flows, err)
		}
		if d := cmp.Diff(map[string]string{"app": "p1"}, flows[0].SourceLabels); d != "" {
			t.Error(d)
		}
	}
	if flows, _, err := src.List(t.Context(), flow.Filter{From: "other"}); err != nil || len(flows) > 0 {
		t.Errorf("%v %v", flows, err)
	}
}
