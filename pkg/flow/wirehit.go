package flow

import (
	"strings"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// profilePrefix begins the name of the profile that decides for a namespace's
// pods where no policy does, as Calico names it.
const profilePrefix = "kns."

var wireKinds = map[policy.Kind]flowpb.PolicyKind{
	policy.KindNetworkPolicy:                 flowpb.PolicyKind_CalicoNetworkPolicy,
	policy.KindGlobalNetworkPolicy:           flowpb.PolicyKind_GlobalNetworkPolicy,
	policy.KindStagedNetworkPolicy:           flowpb.PolicyKind_StagedNetworkPolicy,
	policy.KindStagedGlobalNetworkPolicy:     flowpb.PolicyKind_StagedGlobalNetworkPolicy,
	policy.KindStagedKubernetesNetworkPolicy: flowpb.PolicyKind_StagedKubernetesNetworkPolicy,
	policy.KindKubernetesNetworkPolicy:       flowpb.PolicyKind_NetworkPolicy,
}

// hitToWire writes the hit that decided; local is the end that it decided for.
func hitToWire(h policy.Hit, local Peer) *flowpb.PolicyHit {
	switch h.Rule {
	case policy.NoPolicy:
		return &flowpb.PolicyHit{
			Kind: flowpb.PolicyKind_Profile, Name: profilePrefix + local.Workload.Namespace,
			Action: actionToWire(h.Action),
		}
	case policy.EndOfTier:
		return &flowpb.PolicyHit{
			Kind: flowpb.PolicyKind_EndOfTier, Tier: h.Tier, Action: actionToWire(h.Action), RuleIndex: -1,
			Trigger: &flowpb.PolicyHit{
				Kind: kindToWire(h.Policy.Kind, h.Tier), Namespace: h.Policy.Namespace, Name: h.Policy.Name, Tier: h.Tier,
			},
		}
	}
	return &flowpb.PolicyHit{
		Kind: kindToWire(h.Policy.Kind, h.Tier), Namespace: h.Policy.Namespace, Name: h.Policy.Name, Tier: h.Tier,
		Action: actionToWire(h.Action), RuleIndex: int64(h.Rule),
	}
}

// logsToWire writes the Log rules that were passed before the hit that decided.
// Goldmane has no such action; a client of its own sees hits that decide
// nothing.
func logsToWire(l Logs) []*flowpb.PolicyHit {
	var out []*flowpb.PolicyHit
	for _, h := range l.Hits() {
		out = append(out, hitToWire(h, Peer{}))
	}
	return out
}

// logsFromWire reads them back.
func logsFromWire(trace []*flowpb.PolicyHit) Logs {
	var hits []policy.Hit
	for i := 0; i < len(trace)-1; i++ {
		if w := trace[i]; w.GetAction() == flowpb.Action_ActionUnspecified && w.GetRuleIndex() >= 0 && kindToWire(kindFromWire(w.GetKind()), w.GetTier()) == w.GetKind() {
			hits = append(hits, policy.Hit{
				Tier: w.GetTier(), Rule: int(w.GetRuleIndex()), Action: policy.Log,
				Policy: policy.Key{Kind: kindFromWire(w.GetKind()), Namespace: w.GetNamespace(), Name: w.GetName()},
			})
		}
	}
	return NewLogs(hits)
}

// hitFromWire is the last hit of a trace, the one that decided; a trace without
// hits, or ended by a profile or by leaving the last tier, is no policy (S9).
func hitFromWire(trace []*flowpb.PolicyHit) policy.Hit {
	if len(trace) == 0 {
		return policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	}
	last := trace[len(trace)-1]
	if last.GetAction() == flowpb.Action_Pass {
		return policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}
	}
	return oneHitFromWire(last)
}

func oneHitFromWire(w *flowpb.PolicyHit) policy.Hit {
	h := policy.Hit{Tier: w.GetTier(), Rule: int(w.GetRuleIndex()), Action: actionFromWire(w.GetAction())}
	switch w.GetKind() {
	case flowpb.PolicyKind_Profile:
		return policy.Hit{Rule: policy.NoPolicy, Action: h.Action}
	case flowpb.PolicyKind_EndOfTier:
		h.Rule = policy.EndOfTier
		w = w.GetTrigger()
	}
	h.Policy = policy.Key{Kind: kindFromWire(w.GetKind()), Namespace: w.GetNamespace(), Name: w.GetName()}
	return h
}

// kindToWire tells the tiers of ClusterNetworkPolicies apart, as Calico does.
func kindToWire(k policy.Kind, tier string) flowpb.PolicyKind {
	switch {
	case k == policy.KindClusterNetworkPolicy && tier == "kube-baseline":
		return flowpb.PolicyKind_ClusterNetworkPolicyBaselineTier
	case k == policy.KindClusterNetworkPolicy:
		return flowpb.PolicyKind_ClusterNetworkPolicyAdminTier
	}
	return wireKinds[k]
}

// kindFromWire keeps the names of kinds that netpol does not judge.
func kindFromWire(w flowpb.PolicyKind) policy.Kind {
	for k, v := range wireKinds {
		if v == w {
			return k
		}
	}
	switch w {
	case flowpb.PolicyKind_KindUnspecified:
		return ""
	case flowpb.PolicyKind_ClusterNetworkPolicyAdminTier, flowpb.PolicyKind_ClusterNetworkPolicyBaselineTier:
		return policy.KindClusterNetworkPolicy
	}
	return policy.Kind(w.String())
}

func actionToWire(a policy.Action) flowpb.Action {
	switch a {
	case policy.Allow:
		return flowpb.Action_Allow
	case policy.Deny:
		return flowpb.Action_Deny
	case policy.Pass:
		return flowpb.Action_Pass
	}
	return flowpb.Action_ActionUnspecified
}

func actionFromWire(w flowpb.Action) policy.Action {
	switch w {
	case flowpb.Action_Allow:
		return policy.Allow
	case flowpb.Action_Deny:
		return policy.Deny
	case flowpb.Action_Pass:
		return policy.Pass
	}
	return 0
}

// ParseAction reads a verdict as users write it.
func ParseAction(s string) (policy.Action, bool) {
	for _, a := range []policy.Action{policy.Allow, policy.Deny} {
		if strings.EqualFold(a.String(), s) {
			return a, true
		}
	}
	return 0, false
}
