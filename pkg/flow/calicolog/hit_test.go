package calicolog

import (
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

func TestHits(t *testing.T) {
	key := func(kind policy.Kind, namespace, name string) policy.Key {
		return policy.Key{Kind: kind, Namespace: namespace, Name: name}
	}
	hit := func(index int, tier string, k policy.Key, action policy.Action, rule int) flow.Step {
		return flow.Step{Index: index, Hit: policy.Hit{Tier: tier, Policy: k, Action: action, Rule: rule}}
	}
	profile := func(index int) flow.Step {
		return flow.Step{Index: index, Hit: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}}
	}
	const np, gnp, knp = policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy, policy.KindKubernetesNetworkPolicy
	const snp, sgnp, sknp = policy.KindStagedNetworkPolicy, policy.KindStagedGlobalNetworkPolicy, policy.KindStagedKubernetesNetworkPolicy
	const cnp = policy.KindClusterNetworkPolicy
	for text, want := range map[string]flow.Step{
		// Up to Calico 3.31.
		"0|default|vote/default.staged:db|deny|0":               hit(0, "default", key(snp, "vote", "db"), policy.Deny, 0),
		"1|platform|vote/platform.staged:platform.db|allow|0":   hit(1, "platform", key(snp, "vote", "platform.db"), policy.Allow, 0),
		"1|tier|namespace/staged:tier.name.with.dots|deny|0":    hit(1, "tier", key(snp, "namespace", "tier.name.with.dots"), policy.Deny, 0),
		"0|platform|vote/platform.db|allow|12":                  hit(0, "platform", key(np, "vote", "platform.db"), policy.Allow, 12),
		"0|default|default.default-deny|deny|-1":                hit(0, "default", key(gnp, "", "default.default-deny"), policy.Deny, policy.EndOfTier),
		"2|default|default.staged:default-deny|deny|-1":         hit(2, "default", key(sgnp, "", "default-deny"), policy.Deny, policy.EndOfTier),
		"1|tier|staged:tier.name|deny|2":                        hit(1, "tier", key(sgnp, "", "tier.name"), policy.Deny, 2),
		"3|default|vote/knp.default.db|pass|3":                  hit(3, "default", key(knp, "vote", "db"), policy.Pass, 3),
		"3|default|vote/staged:knp.default.db|deny|3":           hit(3, "default", key(sknp, "vote", "db"), policy.Deny, 3),
		"0|adminnetworkpolicy|kanp.adminnetworkpolicy.a|deny|1": hit(0, "adminnetworkpolicy", key(kindAdmin, "", "a"), policy.Deny, 1),
		"4|baselineadminnetworkpolicy|kbanp.baselineadminnetworkpolicy.default|allow|-1": hit(4, "baselineadminnetworkpolicy",
			key(kindBaseline, "", "default"), policy.Allow, policy.EndOfTier),
		"0|kube-admin|kcnp.kube-admin.a|deny|1":      hit(0, "kube-admin", key(cnp, "", "a"), policy.Deny, 1),
		"1|__PROFILE__|__PROFILE__.kns.vote|allow|0": profile(1),
		"0|__PROFILE__|__PROFILE__.kns.vote|allow":   profile(0),
		"1|default|vote/default.db|allow":            hit(1, "default", key(np, "vote", "default.db"), policy.Allow, policy.RuleUnknown),
		// Since Calico 3.32.
		"0|default|snp:vote/db|deny|0":             hit(0, "default", key(snp, "vote", "db"), policy.Deny, 0),
		"0|default|np:vote/db|Deny|-1":             hit(0, "default", key(np, "vote", "db"), policy.Deny, policy.EndOfTier),
		"0|platform|np:vote/platform.db|allow|-":   hit(0, "platform", key(np, "vote", "platform.db"), policy.Allow, policy.RuleUnknown),
		"0|default|gnp:default-deny|deny|-1":       hit(0, "default", key(gnp, "", "default-deny"), policy.Deny, policy.EndOfTier),
		"0|default|sgnp:default-deny|deny|-1":      hit(0, "default", key(sgnp, "", "default-deny"), policy.Deny, policy.EndOfTier),
		"0|default|knp:vote/db|allow|7":            hit(0, "default", key(knp, "vote", "db"), policy.Allow, 7),
		"0|default|sknp:vote/db|allow|-":           hit(0, "default", key(sknp, "vote", "db"), policy.Allow, policy.RuleUnknown),
		"0|kube-admin|kcnp:name.with.dots|pass|4":  hit(0, "kube-admin", key(cnp, "", "name.with.dots"), policy.Pass, 4),
		"0|kube-baseline|kbanp:default|deny|0":     hit(0, "kube-baseline", key(kindBaseline, "", "default"), policy.Deny, 0),
		"1|__PROFILE__|pro:kns.vote|allow|0":       profile(1),
		"1|default|np:ns1/default.staged:a|deny|2": hit(1, "default", key(snp, "ns1", "a"), policy.Deny, 2),
		// A policy that the reader may not see.
		"3|*|*|deny|*": hit(3, "*", key("", "", "*"), policy.Deny, policy.RuleUnknown),
	} {
		got, err := ParseHit(text)
		if err != nil || got != want {
			t.Errorf("%s:\n got %+v %v\nwant %+v", text, got, err, want)
		}
	}
}

func TestHitsThatAreNone(t *testing.T) {
	for text, says := range map[string]string{
		"":                                  "expected INDEX|TIER|NAME|ACTION|RULE",
		"0|default|np:a/b":                  "expected INDEX|TIER|NAME|ACTION|RULE",
		"0|default|np:a/b|allow|0|1":        "expected INDEX|TIER|NAME|ACTION|RULE",
		"x|default|np:a/b|allow|0":          `its index "x" is not a number`,
		"-1|default|np:a/b|allow|0":         `its index "-1" is not a number`,
		"0||np:a/b|allow|0":                 "its tier is missing",
		"0|default|np:a/b|log|0":            `action "log": expected allow, deny or pass`,
		"0|default|np:a/b|allow|-7":         `rule "-7": expected its index, -1 or -`,
		"0|default|np:|allow|0":             "expected [NAMESPACE/]NAME",
		"0|default|np:/b|allow|0":           "expected [NAMESPACE/]NAME",
		"0|default|np:a/b/c|allow|0":        "expected [NAMESPACE/]NAME",
		"0|default|xyz:a/b|allow|0":         "expected [NAMESPACE/]NAME",
		"0|default|a/other.staged:b|deny|0": "expected TIER.staged:NAME",
	} {
		if got, err := ParseHit(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %+v, %v, want %s", text, got, err, says)
		}
	}
}
