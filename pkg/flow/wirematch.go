package flow

import (
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
)

// matchWire says whether a flow passes a filter as it comes over the wire: for
// every field that the filter gives, one of the values fits. A nil filter lets
// everything pass.
func matchWire(f *flowpb.Filter, k *flowpb.FlowKey) bool {
	return matchString(f.GetSourceNames(), k.GetSourceName()) &&
		matchString(f.GetSourceNamespaces(), k.GetSourceNamespace()) &&
		matchString(f.GetDestNames(), k.GetDestName()) &&
		matchString(f.GetDestNamespaces(), k.GetDestNamespace()) &&
		matchString(f.GetProtocols(), k.GetProto()) &&
		matchAny(f.GetDestPorts(), func(p *flowpb.PortMatch) bool {
			return p.GetPort() == k.GetDestPort() && !protocolFromWire(k.GetProto()).HasTypes()
		}) &&
		matchAny(f.GetActions(), func(a flowpb.Action) bool { return a == k.GetAction() }) &&
		matchAny(f.GetPolicies(), func(p *flowpb.PolicyMatch) bool {
			return slices.ContainsFunc(allHits(k), func(h *flowpb.PolicyHit) bool { return matchHit(p, h) })
		})
}

func matchAny[T any](values []T, fits func(T) bool) bool {
	return len(values) == 0 || slices.ContainsFunc(values, fits)
}

func matchString(values []*flowpb.StringMatch, got string) bool {
	return matchAny(values, func(v *flowpb.StringMatch) bool {
		if v.GetType() == flowpb.MatchType_Fuzzy {
			return strings.Contains(strings.ToLower(got), strings.ToLower(v.GetValue()))
		}
		return got == v.GetValue()
	})
}

func matchHit(p *flowpb.PolicyMatch, h *flowpb.PolicyHit) bool {
	return (p.GetKind() == 0 || p.GetKind() == h.GetKind()) &&
		(p.GetTier() == "" || p.GetTier() == h.GetTier()) &&
		(p.GetNamespace() == "" || p.GetNamespace() == h.GetNamespace()) &&
		(p.GetName() == "" || p.GetName() == h.GetName()) &&
		(p.GetAction() == 0 || p.GetAction() == h.GetAction())
}

// allHits are the hits of a flow, enforced and pending, with the policies that
// made a tier apply.
func allHits(k *flowpb.FlowKey) []*flowpb.PolicyHit {
	var out []*flowpb.PolicyHit
	for _, h := range append(slices.Clone(k.GetPolicies().GetEnforcedPolicies()), k.GetPolicies().GetPendingPolicies()...) {
		out = append(out, h)
		if t := h.GetTrigger(); t != nil {
			out = append(out, t)
		}
	}
	return out
}
