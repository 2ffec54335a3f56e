package recommend

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// draft is a rule whose ports are not written yet.
type draft struct {
	Rule
	class class
	ports []uint16 // sorted
	picks []policy.Workload
}

// writer writes blocks of peers and ports as rules.
type writer struct {
	*finder
	bounds NetBounds
	left   []Skipped // what does not fit into the bounds
}

// drafts are the rules for a block, as many as the API's bounds need.
func (w *writer) drafts(b block) []*draft {
	c, what := b.members[0].class, b.members[0].what
	base := draft{class: c, ports: b.ports}
	base.Protocol = what.protocol
	if what.protocol.HasTypes() {
		base.ICMP = &what.icmp
	}
	if !what.protocol.HasPorts() {
		base.ports = nil
	}
	switch c.rank {
	case rankNet4, rankNet6:
		return w.netDrafts(base, b)
	case rankService:
		base.Service = &c.service
		base.take(b.members, b.ports)
		return []*draft{&base}
	case rankOthers, rankOthersSet:
		base.Namespaces = []string{c.namespace}
	case rankGlobalSet:
		base.NamespaceSelector = selector.MustParse("global()")
	}
	return selectorDrafts(base, b)
}

// take adds what some members' flows at some ports are evidence of.
func (d *draft) take(members []*one, ports []uint16) {
	for _, m := range members {
		for _, p := range ports {
			for _, o := range m.flows[p] {
				if !slices.Contains(d.Evidence, o) {
					d.Evidence = append(d.Evidence, o)
				}
			}
		}
		d.picks = append(d.picks, m.picks...)
		if m.set.Name != "" {
			d.Sets = append(d.Sets, m.set)
		}
	}
}

// selectorDrafts writes pods or network sets, as many in one selector as fit.
func selectorDrafts(base draft, b block) []*draft {
	var out []*draft
	for start := 0; start < len(b.members); {
		end := start + 1
		for end < len(b.members) && len(anyOf(b.members[start:end+1]).String()) <= maxSelector {
			end++
		}
		d := base
		d.Selector = anyOf(b.members[start:end])
		d.take(b.members[start:end], b.ports)
		out = append(out, &d)
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

// joinNamespaces makes one rule of those for peers of several namespaces that
// differ in nothing else, and writes the namespaces' selectors.
func joinNamespaces(drafts []*draft) []*draft {
	slices.SortFunc(drafts, func(a, b *draft) int {
		return cmp.Or(cmp.Compare(a.class.rank, b.class.rank), strings.Compare(a.class.namespace, b.class.namespace))
	})
	alike := map[string]*draft{}
	var out []*draft
	for _, d := range drafts {
		if len(d.Namespaces) == 0 {
			out = append(out, d)
			continue
		}
		key := fmt.Sprint(d.class.rank, d.Protocol, d.icmp(), d.ports, d.Selector.String())
		if same := alike[key]; same != nil && len(namespaceNamed(append(same.Namespaces, d.Namespaces...)).String()) <= maxSelector {
			same.Namespaces = append(same.Namespaces, d.Namespaces...)
			same.Evidence, same.picks = append(same.Evidence, d.Evidence...), append(same.picks, d.picks...)
			same.Sets = append(same.Sets, d.Sets...)
			continue
		}
		alike[key] = d
		out = append(out, d)
	}
	for _, d := range out {
		if len(d.Namespaces) > 0 {
			d.NamespaceSelector = namespaceNamed(d.Namespaces)
		}
	}
	return out
}

// namespaceNamed picks namespaces by their names (S15).
func namespaceNamed(names []string) *selector.Selector {
	if len(names) == 1 {
		return selector.Eq(policy.LabelMetadataName, names[0])
	}
	return selector.In(policy.LabelMetadataName, names...)
}
