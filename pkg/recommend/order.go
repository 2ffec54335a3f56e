package recommend

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// compareRules puts the own namespace first, then other namespaces, network sets,
// nets and Services; then by protocol, ports and peer.
func compareRules(a, b Rule) int {
	return cmp.Or(
		cmp.Compare(ruleRank(&a), ruleRank(&b)),
		strings.Compare(a.NamespaceSelector.String(), b.NamespaceSelector.String()),
		cmp.Compare(a.Protocol, b.Protocol),
		slices.CompareFunc(a.Ports, b.Ports, func(x, y policy.PortRange) int {
			return cmp.Or(cmp.Compare(x.Min, y.Min), cmp.Compare(x.Max, y.Max))
		}),
		slices.CompareFunc(a.NamedPorts, b.NamedPorts, func(x, y NamedPort) int { return strings.Compare(x.Name, y.Name) }),
		slices.Compare(a.icmp(), b.icmp()),
		strings.Compare(a.Selector.String(), b.Selector.String()),
		slices.CompareFunc(a.Nets, b.Nets, netip.Prefix.Compare),
		strings.Compare(a.serviceName(), b.serviceName()),
	)
}

func (r *Rule) serviceName() string {
	if r.Service == nil {
		return ""
	}
	return r.Service.Namespace + "/" + r.Service.Name
}

// icmp is the type and code in one order with others.
func (r *Rule) icmp() []int {
	if r.ICMP == nil {
		return nil
	}
	return []int{int(r.ICMP.Type), r.ICMP.Code}
}

func ruleRank(r *Rule) rank {
	switch {
	case r.Service != nil:
		return rankService
	case len(r.Nets) > 0 && r.Nets[0].Addr().Is6():
		return rankNet6
	case len(r.Nets) > 0:
		return rankNet4
	case len(r.Sets) > 0 && r.NamespaceSelector == nil:
		return rankOwnSet
	case len(r.Sets) > 0 && r.NamespaceSelector.Global():
		return rankGlobalSet
	case len(r.Sets) > 0:
		return rankOthersSet
	case r.NamespaceSelector != nil:
		return rankOthers
	}
	return rankOwn
}
