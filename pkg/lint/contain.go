package lint

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// What is said here of two rules is certain: "covers" holds for every
// connection that there can be, whatever pods there are. What can't be shown
// from the words alone counts as not covered.

// rulePair asks whether a rule of one policy covers one of another (or the
// same) in the same direction.
type rulePair struct {
	wide, narrow         *policy.Rule
	widePolicy, narrowBy *policy.Policy
}

// covers says whether everything that narrow matches wide matches, too.
func (c *rulePair) covers() bool {
	w, n := c.wide, c.narrow
	return w.HTTP == nil && c.family() &&
		(w.Protocol == 0 || w.Protocol == n.Protocol) &&
		(w.NotProtocol == 0 || w.NotProtocol == n.NotProtocol || n.Protocol != 0 && n.Protocol != w.NotProtocol) &&
		c.icmp() &&
		c.entity(&w.Source, &n.Source) && c.entity(&w.Destination, &n.Destination)
}

// family: a rule whose nets are of one family matches no other (S23).
func (c *rulePair) family() bool {
	v := familyOf(c.wide)
	return v == 0 || v == familyOf(c.narrow)
}

func familyOf(r *policy.Rule) uint8 {
	if r.IPVersion != 0 {
		return r.IPVersion
	}
	for _, list := range [][]netip.Prefix{r.Source.Nets, r.Source.NotNets, r.Destination.Nets, r.Destination.NotNets} {
		if len(list) > 0 && list[0].Addr().Is4() {
			return 4
		}
		if len(list) > 0 {
			return 6
		}
	}
	return 0
}

func (c *rulePair) icmp() bool {
	w, n := c.wide, c.narrow
	if w.ICMP != nil && (n.ICMP == nil || !within(n.ICMP.Ports(), []policy.PortRange{w.ICMP.Ports()})) {
		return false
	}
	if w.NotICMP == nil {
		return true
	}
	out := w.NotICMP.Ports()
	return n.NotICMP != nil && within(out, []policy.PortRange{n.NotICMP.Ports()}) ||
		n.ICMP != nil && !overlap(out, n.ICMP.Ports())
}

func (c *rulePair) entity(w, n *policy.Entity) bool {
	return netsCover(w, n) && c.who(w, n) &&
		portsCover(w.Ports, w.NamedPorts, n.Ports, n.NamedPorts) && portsExclude(w, n)
}

// netsCover: every address that n's nets take, w's take.
func netsCover(w, n *policy.Entity) bool {
	if len(w.Nets) > 0 && (len(n.Nets) == 0 || !allNets(n.Nets, w.Nets)) {
		return false
	}
	for _, out := range w.NotNets {
		if !inNet(out, n.NotNets) && (len(n.Nets) == 0 || slices.ContainsFunc(n.Nets, out.Overlaps)) {
			return false
		}
	}
	return true
}

// portsCover: every port that one list takes, the other does. Names mean the
// same in both, since their entities are compared apart.
func portsCover(wide []policy.PortRange, wideNames []string, narrow []policy.PortRange, narrowNames []string) bool {
	if len(wide)+len(wideNames) == 0 {
		return true
	}
	return len(narrow)+len(narrowNames) > 0 && allPorts(narrow, wide) && subset(narrowNames, wideNames)
}

// portsExclude: whatever w's notPorts take out, n does not take.
func portsExclude(w, n *policy.Entity) bool {
	if !subset(w.NotNamedPorts, n.NotNamedPorts) {
		return false
	}
	for _, out := range w.NotPorts {
		apart := len(n.Ports) > 0 && len(n.NamedPorts) == 0 &&
			!slices.ContainsFunc(n.Ports, func(p policy.PortRange) bool { return overlap(p, out) })
		if !apart && !within(out, n.NotPorts) {
			return false
		}
	}
	return true
}

// who: everyone whom n speaks of, w speaks of (S16, S17, S19, S20).
func (c *rulePair) who(w, n *policy.Entity) bool {
	switch {
	case !hasWho(w):
		return true
	case !hasWho(n):
		return false
	case w.Service != nil || n.Service != nil:
		return w.Service != nil && n.Service != nil && *w.Service == *n.Service
	}
	wOut, nOut := bareNot(c.widePolicy, w), bareNot(c.narrowBy, n)
	if wOut || nOut {
		// Everyone but some, outside the cluster too.
		return wOut && nOut && selector.Implies(w.NotSelector, n.NotSelector)
	}
	return c.scope(w, n) && accountsCover(w.ServiceAccounts, n.ServiceAccounts) &&
		selector.Implies(selectorOf(n), selectorOf(w))
}

// bareNot says whether an entity is a global policy's bare notSelector (S17).
func bareNot(p *policy.Policy, e *policy.Entity) bool {
	return p.Namespace == "" && e.NotSelector != nil && e.Selector == nil && e.NamespaceSelector == nil && e.ServiceAccounts == nil
}

func selectorOf(e *policy.Entity) *selector.Selector {
	if e.NotSelector == nil {
		return e.Selector
	}
	return selector.And(e.Selector, selector.Not(e.NotSelector))
}

// scope: the namespaces that n speaks of, w speaks of (S16).
func (c *rulePair) scope(w, n *policy.Entity) bool {
	own := c.narrowBy.Namespace
	switch {
	case w.NamespaceSelector == nil && c.widePolicy.Namespace == "":
		return true // everything
	case w.NamespaceSelector == nil && n.NamespaceSelector == nil:
		return c.widePolicy.Namespace == own
	case w.NamespaceSelector == nil:
		return namesNamespace(n.NamespaceSelector, c.widePolicy.Namespace)
	case n.NamespaceSelector != nil:
		return w.NamespaceSelector.String() == n.NamespaceSelector.String() ||
			!n.NamespaceSelector.Global() && selector.Implies(n.NamespaceSelector, w.NamespaceSelector)
	}
	return own != "" && coversNamespace(w.NamespaceSelector, own)
}

// namespaceNames are selectors of one namespace by the labels that each has
// (S15).
func namespaceNames(name string) [2]*selector.Selector {
	return [2]*selector.Selector{selector.Eq(policy.LabelName, name), selector.Eq(policy.LabelMetadataName, name)}
}

// namesNamespace says whether a selector picks no other namespace than one.
func namesNamespace(s *selector.Selector, name string) bool {
	names := namespaceNames(name)
	return selector.Implies(s, names[0]) || selector.Implies(s, names[1])
}

// coversNamespace says whether a selector picks a namespace, by its name alone.
func coversNamespace(s *selector.Selector, name string) bool {
	names := namespaceNames(name)
	return !s.Global() && (selector.Implies(names[0], s) || selector.Implies(names[1], s))
}

func accountsCover(w, n *policy.ServiceAccountMatch) bool {
	switch {
	case w == nil:
		return true
	case n == nil:
		return false
	}
	return (len(w.Names) == 0 || len(n.Names) > 0 && subset(n.Names, w.Names)) &&
		(w.Selector == nil || n.Selector != nil && selector.Implies(n.Selector, w.Selector))
}

// subjectCovers says whether every endpoint that narrow selects, wide selects
// (S14).
func subjectCovers(wide, narrow *policy.Policy) bool {
	if wide.Namespace != "" && wide.Namespace != narrow.Namespace {
		return false
	}
	if wide.DoNotTrack != narrow.DoNotTrack || wide.PreDNAT != narrow.PreDNAT || wide.ApplyOnForward != narrow.ApplyOnForward {
		return false
	}
	if wide.ServiceAccountSelector != nil && (narrow.ServiceAccountSelector == nil ||
		!selector.Implies(narrow.ServiceAccountSelector, wide.ServiceAccountSelector)) {
		return false
	}
	if s := wide.NamespaceSelector; s != nil {
		switch n := narrow.NamespaceSelector; {
		case narrow.Namespace != "":
			if !coversNamespace(s, narrow.Namespace) {
				return false
			}
		case n == nil || !selector.Implies(n, s):
			return false
		}
	}
	return selector.Implies(subjectOf(narrow), wide.Selector)
}

// subjectOf is what the endpoints of a policy have in common, its namespace
// included (S15).
func subjectOf(p *policy.Policy) *selector.Selector {
	if p.Namespace == "" {
		return p.Selector
	}
	return selector.And(p.Selector, selector.Eq(policy.LabelNamespace, p.Namespace))
}
