package recommend

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// groupRules are the rules for peers that share class, protocol and ports; as
// many as the API's bounds need.
func groupRules(members []*one) []Rule {
	base := Rule{Protocol: members[0].protocol, ICMP: members[0].icmp}
	c := members[0].class
	if c.rank == 1 {
		base.NamespaceSelector = selector.Eq("kubernetes.io/metadata.name", c.namespace)
	}
	var byPeer []Rule
	switch c.rank {
	case 0, 1:
		byPeer = selectorRules(base, members)
	case 2, 3:
		byPeer = netRules(base, members)
	default:
		byPeer = []Rule{serviceRule(base, members)}
	}
	var out []Rule
	for _, r := range byPeer {
		ports := members[0].portRanges()
		if len(ports) == 0 {
			out = append(out, r)
		}
		for part := range slices.Chunk(ports, maxPorts) {
			r.Ports = part
			out = append(out, r)
		}
	}
	return out
}

func serviceRule(r Rule, members []*one) Rule {
	r.Service = &members[0].class.service
	for _, m := range members {
		r.Evidence = append(r.Evidence, m.evidence...)
	}
	return r
}

func netRules(base Rule, members []*one) []Rule {
	nets := make([]netip.Prefix, len(members))
	for i, m := range members {
		nets[i] = m.net
	}
	var out []Rule
	for part := range slices.Chunk(aggregate(nets), maxNets) {
		r := base
		r.Nets = part
		for _, m := range members {
			if slices.ContainsFunc(part, func(p netip.Prefix) bool { return p.Overlaps(m.net) }) {
				r.Evidence = append(r.Evidence, m.evidence...)
			}
		}
		out = append(out, r)
	}
	return out
}

func selectorRules(base Rule, members []*one) []Rule {
	var out []Rule
	for start := 0; start < len(members); {
		end := start + 1
		for end < len(members) && len(anyOf(members[start:end+1]).String()) <= maxSelector {
			end++
		}
		r := base
		r.Selector = anyOf(members[start:end])
		for _, m := range members[start:end] {
			r.Evidence = append(r.Evidence, m.evidence...)
		}
		out = append(out, r)
		start = end
	}
	return out
}

// anyOf is a selector that picks what any of the members' picks do: values of
// one label as a set, other picks beside.
func anyOf(members []*one) *selector.Selector {
	sets := map[string][]string{}
	var parts []*selector.Selector
	for _, m := range members {
		if len(m.pick.equal) == 1 && len(m.pick.lacks) == 0 {
			l := m.pick.equal[0]
			sets[l.name] = append(sets[l.name], l.value)
			continue
		}
		parts = append(parts, m.pick.selector())
	}
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(sets))) {
		s := selector.Eq(name, sets[name][0])
		if len(sets[name]) > 1 {
			s = selector.In(name, sets[name]...)
		}
		parts = slices.Insert(parts, 0, s)
	}
	return selector.Or(parts...)
}

// compareRules puts the own namespace first, then other namespaces, then nets;
// then by protocol, ports and peer.
func compareRules(a, b Rule) int {
	return cmp.Or(
		cmp.Compare(ruleRank(a), ruleRank(b)),
		strings.Compare(a.NamespaceSelector.String(), b.NamespaceSelector.String()),
		cmp.Compare(a.Protocol, b.Protocol),
		slices.CompareFunc(a.Ports, b.Ports, func(x, y policy.PortRange) int {
			return cmp.Or(cmp.Compare(x.Min, y.Min), cmp.Compare(x.Max, y.Max))
		}),
		cmp.Compare(a.icmpType(), b.icmpType()),
		strings.Compare(a.Selector.String(), b.Selector.String()),
		slices.CompareFunc(a.Nets, b.Nets, netip.Prefix.Compare),
		strings.Compare(a.serviceName(), b.serviceName()),
	)
}

func (r Rule) serviceName() string {
	if r.Service == nil {
		return ""
	}
	return r.Service.Namespace + "/" + r.Service.Name
}

func (r Rule) icmpType() uint8 {
	if r.ICMP == nil {
		return 0
	}
	return r.ICMP.Type
}

func ruleRank(r Rule) int {
	switch {
	case r.Service != nil:
		return 4
	case len(r.Nets) > 0 && r.Nets[0].Addr().Is6():
		return 3
	case len(r.Nets) > 0:
		return 2
	case r.NamespaceSelector != nil:
		return 1
	}
	return 0
}
