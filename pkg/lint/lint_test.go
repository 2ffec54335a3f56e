package lint_test

import (
	"regexp"
	"testing"

	"github.com/netpol-project/netpol/pkg/lint"
	"github.com/netpol-project/netpol/pkg/policy"
)

func TestLogOnly(t *testing.T) {
	logs := "ingress: [{action: Log}, {action: Log, protocol: TCP}]"
	check(t, "log-only", []testCase{
		{"S7: reaches the end of the tier", shop + netpol("p", logs), []string{"p spec.ingress"}},
		{"without pods", netpol("p", logs), []string{"p spec.ingress"}},
		{"staged", shop + staged(netpol("p", logs)), []string{"p spec.ingress"}},
		{"the other direction too", shop + netpol("p", "egress: [{action: Log}]"), []string{"p spec.egress"}},
		{"a rule decides", shop + netpol("p", "ingress: [{action: Log}, {action: Allow, protocol: TCP}]"), nil},
		{"no rules is a default deny", shop + netpol("p", "types: [Ingress]"), nil},
		{"the tier passes", shop + tierDoc("t", "order: 1, defaultAction: Pass") + netpol("t.p", "tier: t", logs), nil},
		{"others of the tier decide for all pods", shop + netpol("p", logs) + netpol("q", "ingress: [{action: Allow, protocol: TCP}]"), nil},
		{"others decide for some pods", shop + netpol("p", logs) + netpol("q", "selector: app == 'web'", "ingress: [{action: Allow, protocol: TCP}]"), []string{"p spec.ingress"}},
		{"a direction in which it does not act", shop + netpol("p", "types: [Egress]", logs), nil},
	})
}

func TestRulesIgnored(t *testing.T) {
	check(t, "rules-ignored", []testCase{
		{"S3", netpol("p", "types: [Ingress]", "egress: [{action: Allow}]"), []string{"p spec.egress"}},
		{"inferred types", netpol("p", "egress: [{action: Allow}]"), nil},
		{"both", netpol("p", "types: [Ingress, Egress]", "egress: [{action: Allow}]", "ingress: [{action: Deny}]"), nil},
		{"kubernetes", kube("p", "podSelector: {}", "policyTypes: [Ingress]", "egress: [{ports: [{port: 53, protocol: UDP}]}]"), []string{"p spec.egress"}},
	})
}

func TestPassNowhere(t *testing.T) {
	tiers := tierDoc("a", "order: 1") + tierDoc("b", "order: 2")
	pass := netpol("a.p", "tier: a", "selector: app == 'web'", "ingress: [{action: Deny, protocol: UDP}, {action: Pass}]")
	check(t, "pass-nowhere", []testCase{
		{"S6, S9", shop + tiers + pass, []string{"a.p spec.ingress[1]"}},
		{"a later tier selects the pod", shop + tiers + pass + netpol("b.q", "tier: b", "ingress: [{action: Allow, protocol: TCP}]"), nil},
		{"a later tier in the other direction", shop + tiers + pass + netpol("b.q", "tier: b", "egress: [{action: Allow}]"), []string{"a.p spec.ingress[1]"}},
		{"a later tier selects others", shop + tiers + pass + netpol("b.q", "tier: b", "selector: app == 'db'", "ingress: [{action: Allow}]"), []string{"a.p spec.ingress[1]"}},
		{"a staged policy does not count for an enforced one", shop + tiers + pass + staged(netpol("b.q", "tier: b", "ingress: [{action: Allow}]")), []string{"a.p spec.ingress[1]"}},
		{"an enforced one counts for a staged one", shop + tiers + staged(pass) + netpol("b.q", "tier: b", "ingress: [{action: Allow}]"), nil},
		{"no pods to judge by", tiers + pass, nil},
		{"an earlier tier is not later", shop + tiers + netpol("b.p", "tier: b", "ingress: [{action: Pass}]") + netpol("a.q", "tier: a", "ingress: [{action: Pass}]"), []string{"b.p spec.ingress[0]"}},
	})
}

func TestAllowAll(t *testing.T) {
	check(t, "allow-all", []testCase{
		{"empty rule", netpol("p", "ingress: [{action: Allow}]", "egress: [{action: Allow}]"), []string{"p spec.ingress[0]", "p spec.egress[0]"}},
		{"the name says so", netpol("allow-all", "ingress: [{action: Allow}]"), nil},
		{"deny", netpol("p", "ingress: [{action: Deny}]"), nil},
		{"a criterion", netpol("p", "ingress: [{action: Allow, protocol: TCP}, {action: Allow, source: {selector: all()}}]"), nil},
		{"kubernetes", kube("p", "podSelector: {}", "ingress: [{}]"), []string{"p spec.ingress[0]"}},
	})
}

func TestNeverMatches(t *testing.T) {
	check(t, "never-matches", []testCase{
		{"protocol", netpol("p", "ingress: [{action: Allow, protocol: TCP, notProtocol: TCP}]"), []string{"p spec.ingress[0].notProtocol"}},
		{"nets", netpol("p", "ingress: [{action: Allow, source: {nets: [10.0.0.0/24, 10.0.1.0/24], notNets: [10.0.0.0/16]}}]"), []string{"p spec.ingress[0].source.notNets"}},
		{"ports", netpol("p", "ingress: [{action: Allow, protocol: TCP, destination: {ports: [80], notPorts: ['1:100']}}]"), []string{"p spec.ingress[0].destination.notPorts"}},
		{"selectors", netpol("p", "ingress: [{action: Allow, source: {selector: a == 'b', notSelector: \"a == 'b'\"}}]"), []string{"p spec.ingress[0].source.notSelector"}},
		{"something is left", netpol("p", "ingress: [{action: Allow, protocol: TCP, notProtocol: UDP, source: {nets: [10.0.0.0/16], notNets: [10.0.0.0/24]}, destination: {ports: ['80:90'], notPorts: [85]}}]"), nil},
	})
}

func TestNetCovered(t *testing.T) {
	check(t, "net-covered", []testCase{
		{"within", netpol("p", "ingress: [{action: Allow, source: {nets: [10.0.0.0/8, 10.1.0.0/16]}}]"), []string{"p spec.ingress[0].source.nets[1]"}},
		{"twice", netpol("p", "ingress: [{action: Allow, source: {nets: [10.0.0.0/8, 10.0.0.0/8]}}]"), []string{"p spec.ingress[0].source.nets[1]"}},
		{"apart", netpol("p", "ingress: [{action: Allow, source: {nets: [10.0.0.0/8, 11.0.0.0/8]}}]"), nil},
		{"a set", "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkSet\nmetadata: {name: s}\nspec: {nets: [2001:db8::/32, 2001:db8:1::/48, 2001:db8:2::/48]}\n", []string{"s spec.nets[1]"}},
		{"not across lists", netpol("p", "ingress: [{action: Allow, source: {nets: [10.0.0.0/8], notNets: [10.1.0.0/16]}}]"), nil},
	})
}

func TestDeleteNothing(t *testing.T) {
	del := staged(netpol("p", "stagedAction: Delete"))
	check(t, "delete-nothing", []testCase{
		{"S27", del, []string{"p spec.stagedAction"}},
		{"there is one", del + netpol("p", "types: [Ingress]"), nil},
		{"set", staged(netpol("p", "types: [Ingress]")), nil},
	})
}

func TestTierTie(t *testing.T) {
	use := func(name string) string { return netpol(name+".p", "tier: "+name, "types: [Ingress]") }
	check(t, "tier-tie", []testCase{
		{"S1: same order", tierDoc("a", "order: 1") + tierDoc("b", "order: 1") + use("a") + use("b"), []string{"b spec.order"}},
		{"no order", tierDoc("a", "") + tierDoc("b", "") + use("a") + use("b"), []string{"b spec.order"}},
		{"other orders", tierDoc("a", "order: 1") + tierDoc("b", "order: 2") + use("a") + use("b"), nil},
		{"nothing is in it", tierDoc("a", "order: 1") + tierDoc("b", "order: 1") + use("a"), nil},
	})
}

// TestBroken: nothing is said of what has errors, for it is not judged as it
// is written.
func TestBroken(t *testing.T) {
	resources, _ := policy.Decode("f.yaml", []byte(netpol("p", "ingress: [{action: Log}]")))
	snap, _ := policy.NewSnapshot(1, resources, nil)
	all := func(policy.Key) bool { return true }
	if got := lint.Check(snap, all); len(got) > 0 {
		t.Error(got)
	}
}

func TestLintsAreDescribed(t *testing.T) {
	code := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := map[string]bool{}
	for _, l := range lint.Lints() {
		if !code.MatchString(l.Code) || seen[l.Code] || len(l.Code) > 16 || len(l.Code)+len(l.Short) > 75 || l.Help == "" {
			t.Errorf("%+v", l)
		}
		seen[l.Code] = true
	}
}
