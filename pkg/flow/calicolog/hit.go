package calicolog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// profileTier is where Calico puts the profile that decides if no policy does.
const profileTier = "__PROFILE__"

// hidden is what Calico writes for a policy that the reader may not see.
const hidden = "*"

// shortKinds are the kinds of policies as Calico 3.32 and later write them.
var shortKinds = map[string]policy.Kind{
	"np":    policy.KindNetworkPolicy,
	"gnp":   policy.KindGlobalNetworkPolicy,
	"knp":   policy.KindKubernetesNetworkPolicy,
	"snp":   policy.KindStagedNetworkPolicy,
	"sgnp":  policy.KindStagedGlobalNetworkPolicy,
	"sknp":  policy.KindStagedKubernetesNetworkPolicy,
	"kcnp":  policy.KindClusterNetworkPolicy,
	"pro":   kindProfile,
	"anp":   kindAdmin,
	"kanp":  kindAdmin,
	"banp":  kindBaseline,
	"kbanp": kindBaseline,
}

// Kinds that netpol does not judge.
const (
	kindProfile  policy.Kind = "Profile"
	kindAdmin    policy.Kind = "AdminNetworkPolicy"
	kindBaseline policy.Kind = "BaselineAdminNetworkPolicy"
)

// longNames are the prefixes by which names of Kubernetes' policies are told up
// to Calico 3.31.
var longNames = []struct {
	prefix string
	kind   policy.Kind
}{
	{"knp.default.", policy.KindKubernetesNetworkPolicy},
	{"kcnp.kube-admin.", policy.KindClusterNetworkPolicy},
	{"kcnp.kube-baseline.", policy.KindClusterNetworkPolicy},
	{"kanp.adminnetworkpolicy.", kindAdmin},
	{"kbanp.baselineadminnetworkpolicy.", kindBaseline},
	{profileTier + ".", kindProfile},
}

// ParseHit reads one hit of a flow log:
//
//	INDEX|TIER|[NAMESPACE/]NAME|ACTION|RULE         up to Calico 3.31
//	INDEX|TIER|KIND:[NAMESPACE/]NAME|ACTION|RULE    since Calico 3.32
//
// In the first form the name tells the kind, and has the tier in front, as
// policies are called there: vote/default.staged:db, knp.default.db. RULE is -1
// for the end of the tier; it may be "-", or missing, if it is not known.
func ParseHit(s string) (flow.Step, error) {
	parts := strings.Split(s, "|")
	if len(parts) != 4 && len(parts) != 5 {
		return flow.Step{}, fmt.Errorf("policy %q: expected INDEX|TIER|NAME|ACTION|RULE", s)
	}
	index, err := strconv.ParseUint(parts[0], 10, 16)
	if err != nil {
		return flow.Step{}, fmt.Errorf("policy %q: its index %q is not a number", s, parts[0])
	}
	step := flow.Step{Index: int(index)}
	step.Tier = parts[1]
	if step.Action, err = parseAction(parts[3]); err != nil {
		return flow.Step{}, fmt.Errorf("policy %q: %w", s, err)
	}
	rule := "-"
	if len(parts) == 5 {
		rule = parts[4]
	}
	if step.Rule, err = parseRule(rule); err != nil {
		return flow.Step{}, fmt.Errorf("policy %q: %w", s, err)
	}
	if step.Policy, err = parseName(parts[2], step.Tier); err != nil {
		return flow.Step{}, fmt.Errorf("policy %q: %w", s, err)
	}
	if step.Tier == "" {
		return flow.Step{}, fmt.Errorf("policy %q: its tier is missing", s)
	}
	if step.Policy.Kind == kindProfile {
		step.Hit = policy.Hit{Rule: policy.NoPolicy, Action: step.Action}
	}
	return step, nil
}

func parseAction(s string) (policy.Action, error) {
	for _, a := range []policy.Action{policy.Allow, policy.Deny, policy.Pass} {
		if strings.EqualFold(a.String(), s) {
			return a, nil
		}
	}
	return 0, fmt.Errorf("action %q: expected allow, deny or pass", s)
}

func parseRule(s string) (int, error) {
	switch s {
	case "-", hidden, "-2":
		return policy.RuleUnknown, nil
	case "-1":
		return policy.EndOfTier, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("rule %q: expected its index, -1 or -", s)
	}
	return int(n), nil
}

// parseName reads the name of a policy, in either form.
func parseName(s, tier string) (policy.Key, error) {
	key := policy.Key{}
	if short, rest, ok := strings.Cut(s, ":"); ok && shortKinds[short] != "" {
		key.Kind, s = shortKinds[short], rest
	}
	namespace, name, ok := strings.Cut(s, "/")
	if ok {
		key.Namespace = namespace
	} else {
		name = s
	}
	// A staged policy's mark is before or after its tier.
	before, after, staged := strings.Cut(name, "staged:")
	if staged && before != "" && before != tier+"." {
		return key, fmt.Errorf("name %q: expected TIER.staged:NAME", name)
	}
	if staged {
		name = after
	}
	if key.Kind == "" {
		key.Kind, name = longKind(name, key.Namespace)
	}
	if staged {
		key.Kind = stagedKind(key.Kind)
	}
	key.Name = name
	if strings.ContainsAny(name, "/:") || name == "" || ok && namespace == "" || strings.Contains(key.Namespace, ":") {
		return key, fmt.Errorf("name %q: expected [NAMESPACE/]NAME", s)
	}
	return key, nil
}

// longKind is the kind that a name without one tells, and the name without what
// tells it. The tier stays: the API has it in the name there.
func longKind(name, namespace string) (policy.Kind, string) {
	if name == hidden {
		return "", name
	}
	for _, l := range longNames {
		if short, ok := strings.CutPrefix(name, l.prefix); ok {
			return l.kind, short
		}
	}
	if namespace == "" {
		return policy.KindGlobalNetworkPolicy, name
	}
	return policy.KindNetworkPolicy, name
}

// stagedKind is the staged kind of an enforced one, if there is one.
func stagedKind(k policy.Kind) policy.Kind {
	for _, staged := range shortKinds {
		if staged.Staged() && staged.Enforced() == k {
			return staged
		}
	}
	return k
}
