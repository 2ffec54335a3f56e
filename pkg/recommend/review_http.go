package recommend

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// byHTTP is why a flow should be looked at that a policy, also a staged one,
// allows by HTTP alone: a rule for packets would allow what its author left out,
// other methods and paths (S24). Whom that rule lets in is not looked at: its
// author had HTTP on that port in mind.
func (r *review) byHTTP(o *flow.Observed) string {
	if !r.http {
		return ""
	}
	for _, c := range r.labels.rp.Pairs(o) {
		ep := c.Destination.Endpoint
		if ep == nil {
			continue
		}
		for _, p := range r.Model.Selecting(tier.Pending(), policy.Ingress, ep) {
			for i := range p.Rules[policy.Ingress] {
				if speaksHTTP(&p.Rules[policy.Ingress][i], o, ep) {
					return p.Key.String() + " allows HTTP there by methods or paths, and a rule for packets would allow all of them"
				}
			}
		}
	}
	return ""
}

// speaksHTTP says whether a rule has criteria on HTTP, and is about the flow's
// port.
func speaksHTTP(rule *policy.Rule, o *flow.Observed, ep *policy.Endpoint) bool {
	if rule.HTTP == nil || rule.Protocol != 0 && rule.Protocol != o.Protocol || !o.Protocol.HasPorts() {
		return false
	}
	to := &rule.Destination
	if len(to.Ports)+len(to.NamedPorts) == 0 {
		return true
	}
	return slices.ContainsFunc(to.Ports, func(p policy.PortRange) bool { return p.Contains(o.Port) }) ||
		slices.ContainsFunc(ep.Ports, func(p policy.ContainerPort) bool {
			return p.Port == o.Port && p.Protocol == o.Protocol && slices.Contains(to.NamedPorts, p.Name)
		})
}

// anyHTTP says whether a policy has criteria on HTTP.
func anyHTTP(policies []*policy.Policy) bool {
	return slices.ContainsFunc(policies, func(p *policy.Policy) bool {
		return slices.ContainsFunc(p.Rules[policy.Ingress], func(rule policy.Rule) bool { return rule.HTTP != nil })
	})
}
