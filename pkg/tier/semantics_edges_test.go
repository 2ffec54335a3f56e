package tier_test

import (
	"fmt"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// The tiers that exist without being written down, besides default.
func TestS1_BuiltInTiers(t *testing.T) {
	check(t,
		scenario{name: "kube-admin is at 1 000", want: map[string]string{anyToDB: "Deny kube-admin/q:0"}, resources: []string{
			newTier("mid", "{order: 1001}"),
			global("p", "{tier: mid, ingress: [{action: Allow}]}"), global("q", "{tier: kube-admin, ingress: [{action: Deny}]}")}},
		scenario{name: "kube-admin passes", want: map[string]string{anyToDB: "Allow"},
			resources: []string{global("q", "{tier: kube-admin}")}},
		scenario{name: "kube-baseline is at 10 000 000", want: map[string]string{anyToDB: "Allow late/p:0"}, resources: []string{
			newTier("late", "{order: 9999999}"),
			global("p", "{tier: late, ingress: [{action: Allow}]}"), global("q", "{tier: kube-baseline, ingress: [{action: Deny}]}")}},
		scenario{name: "and not behind", want: map[string]string{anyToDB: "Deny kube-baseline/q:0"}, resources: []string{
			newTier("later", "{order: 10000001}"), newTier("last", "{}"),
			global("p", "{tier: later, ingress: [{action: Allow}]}"), global("o", "{tier: last, ingress: [{action: Allow}]}"),
			global("q", "{tier: kube-baseline, ingress: [{action: Deny}]}")}},
		scenario{name: "kube-baseline passes", want: map[string]string{anyToDB: "Allow"},
			resources: []string{global("q", "{tier: kube-baseline}")}},
	)
}

func TestS32_PodReachesItself(t *testing.T) {
	m := modelOf(t, global("closed", "{types: [Ingress, Egress]}"))
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"red/web", "red/web", true},
		{"red/web/6", "red/web/6", true},
		{"red/web", "red/db", false},
		{"red/web", "blue/web", false}, // another pod of that name
	} {
		conn := tier.Conn{Source: end(t, m, c.from), Destination: end(t, m, c.to), Protocol: policy.TCP, Port: 80}
		if r := m.Evaluate(tier.Enforced(), conn); r.Allowed() != c.allowed {
			t.Errorf("%s > %s: allowed %v, want %v", c.from, c.to, r.Allowed(), c.allowed)
		}
	}
}

// What a manifest says of a workload stands for each of its pods, so it is judged
// as two of them; and it may have the name of another kind's workload.
func TestS32_AWorkloadIsNoPod(t *testing.T) {
	workload := func(kind, name string) string {
		template := "template: {metadata: {labels: {app: " + name + "}}, spec: {containers: [{name: main, image: main}]}}"
		if kind == "CronJob" {
			return "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: " + name + ", namespace: red}\nspec: {jobTemplate: {spec: {" + template + "}}}\n"
		}
		return "apiVersion: apps/v1\nkind: " + kind + "\nmetadata: {name: " + name + ", namespace: red}\nspec: {" + template + "}\n"
	}
	m := modelOf(t, workload("Deployment", "backup"), workload("CronJob", "backup"), workload("StatefulSet", "web"),
		global("closed", "{types: [Ingress, Egress]}"))
	find := func(kind policy.Kind, name string) tier.Peer {
		for _, ep := range m.Snapshot().EndpointsIn("red") {
			if ep.Workload.Kind == kind && ep.Workload.Name == name {
				return tier.Peer{Endpoint: ep}
			}
		}
		t.Fatalf("no %s %s", kind, name)
		return tier.Peer{}
	}
	for name, ends := range map[string][2]tier.Peer{
		"two pods of one":                   {find(policy.KindDeployment, "backup"), find(policy.KindDeployment, "backup")},
		"two workloads of one name":         {find(policy.KindCronJob, "backup"), find(policy.KindDeployment, "backup")},
		"a pod with the name of a workload": {find(policy.KindPod, "web"), find(policy.KindStatefulSet, "web")},
	} {
		r := m.Evaluate(tier.Enforced(), tier.Conn{Source: ends[0], Destination: ends[1], Protocol: policy.TCP, Port: 80})
		if r.Allowed() || r.Egress == nil || r.Ingress == nil {
			t.Errorf("%s: %+v, want it judged at both ends and denied", name, r)
		}
	}
}

// claimant is a pod at an address that others may have, too.
func claimant(name, made, more string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata: {name: %s, namespace: red, creationTimestamp: "2024-01-0%sT00:00:00Z", labels: {app: %s}%s}
spec: {nodeName: node, containers: [{name: main, image: main}]}
`, name, made, name, more)
}

func TestS35_NewestRunningPodOwnsTheAddress(t *testing.T) {
	running := "status: {phase: Running, podIP: 10.0.0.9}\n"
	finished := "status: {phase: Succeeded, podIP: 10.0.0.9}\n"
	leaving := ", deletionTimestamp: \"2024-01-09T00:00:00Z\""
	for name, c := range map[string]struct {
		pods []string
		want string
	}{
		"one":                                   {[]string{claimant("a", "1", "") + running}, "red/a"},
		"the newest":                            {[]string{claimant("a", "2", "") + running, claimant("b", "3", "") + running, claimant("c", "1", "") + running}, "red/b"},
		"one that terminates yields":            {[]string{claimant("a", "1", "") + running, claimant("b", "2", leaving) + running}, "red/a"},
		"one that terminates keeps it if alone": {[]string{claimant("a", "1", leaving) + running}, "red/a"},
		"one that has finished owns none":       {[]string{claimant("a", "1", "") + running, claimant("b", "2", "") + finished}, "red/a"},
		"nobody":                                {[]string{claimant("a", "1", "") + finished}, ""},
	} {
		m := modelOf(t, c.pods...)
		got := ""
		if ep := m.Owner(end(t, m, "10.0.0.9").Addr); ep != nil {
			got = ep.ID()
		}
		if got != c.want {
			t.Errorf("%s: owner %q, want %q", name, got, c.want)
		}
	}
}

// Who owns an address decides by which labels its connections are judged.
func TestS35_TheOwnersLabelsCount(t *testing.T) {
	running := "status: {phase: Running, podIP: 10.0.0.9}\n"
	only := global("p", "{selector: app == 'db', ingress: [{action: Allow, source: {selector: app == 'a'}}]}")
	check(t,
		scenario{name: "the newest is allowed", want: map[string]string{"in 10.0.0.9 > red/db tcp/1": "Allow default/p:0"},
			resources: []string{only, claimant("a", "2", "") + running, claimant("b", "1", "") + running}},
		scenario{name: "the newest is not", want: map[string]string{"in 10.0.0.9 > red/db tcp/1": "Deny default/p:end"},
			resources: []string{only, claimant("a", "1", "") + running, claimant("b", "2", "") + running}},
	)
}
