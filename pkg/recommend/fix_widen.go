package recommend

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// addPorts adds the ports of r to a rule that is the same but for them.
func (e *FixEdit) addPorts(d policy.Direction, i int, r *Rule) bool {
	old := e.plain(d, i, r)
	if old == nil || !samePeer(peerOf(old, d), r) {
		return false
	}
	ports := &old.Destination
	if len(ports.Ports)+len(ports.NamedPorts) == 0 || len(r.Ports)+len(r.NamedPorts) == 0 ||
		len(ports.Ports)+len(ports.NamedPorts)+len(r.Ports)+len(r.NamedPorts) > maxPorts {
		return false
	}
	c := e.changed(d, i)
	for _, p := range r.Ports {
		if !slices.Contains(ports.Ports, p) {
			ports.Ports = append(slices.Clip(ports.Ports), p)
			c.Ports = append(c.Ports, p)
		}
	}
	for _, p := range r.NamedPorts {
		if !slices.Contains(ports.NamedPorts, p.Name) {
			ports.NamedPorts = append(slices.Clip(ports.NamedPorts), p.Name)
			c.Names = append(c.Names, p.Name)
		}
	}
	c.stands(*r, "port")
	return true
}

// addLast adds r to the end of a policy that has room.
func (e *FixEdit) addLast(d policy.Direction, _ int, r *Rule) bool {
	if len(e.rules[d])+len(e.Rules[d]) >= maxRules {
		return false
	}
	e.add(d, *r)
	return true
}

// addPeer adds the nets or the pods of r to a rule that is the same but for them.
func (e *FixEdit) addPeer(d policy.Direction, i int, r *Rule) bool {
	old := e.plain(d, i, r)
	if old == nil || !samePorts(&old.Destination, r) {
		return false
	}
	peer := peerOf(old, d)
	switch {
	case len(r.Nets) > 0:
		if peer.Selector != nil || peer.NamespaceSelector != nil || len(peer.Nets) == 0 || len(peer.NotNets) > 0 ||
			peer.Nets[0].Addr().Is4() != r.Nets[0].Addr().Is4() || len(peer.Nets)+len(r.Nets) > maxNets {
			return false
		}
		c := e.changed(d, i)
		peer.Nets = append(slices.Clip(peer.Nets), r.Nets...)
		c.Nets = append(c.Nets, r.Nets...)
		c.stands(*r, "peer")
		return true
	case r.Selector != nil && peer.Selector != nil && len(r.Sets) == 0 && len(peer.Nets)+len(peer.NotNets) == 0 &&
		peer.NamespaceSelector.String() == r.NamespaceSelector.String() && (peer.NamespaceSelector == nil) == (r.NamespaceSelector == nil):
		both := selector.Or(peer.Selector, r.Selector)
		if len(both.String()) > maxSelector {
			return false
		}
		c := e.changed(d, i)
		peer.Selector, c.Selector = both, both
		c.stands(*r, "peer")
		return true
	}
	return false
}

func peerOf(r *policy.Rule, d policy.Direction) *policy.Entity {
	if d == policy.Ingress {
		return &r.Source
	}
	return &r.Destination
}

// plain is a rule of the base that could be extended by r, nil if there is none.
func (e *FixEdit) plain(d policy.Direction, i int, r *Rule) *policy.Rule {
	if i >= len(e.rules[d]) || !plain(&e.rules[d][i], d, r) {
		return nil
	}
	return &e.rules[d][i]
}

// plain says whether a rule is an Allow of r's protocol with nothing but a peer
// and the destination's ports.
func plain(old *policy.Rule, d policy.Direction, r *Rule) bool {
	if old.Action != policy.Allow || old.Faulty || old.IPVersion != 0 || old.NotProtocol != 0 || old.HTTP != nil ||
		old.ICMP != nil || old.NotICMP != nil || r.ICMP != nil || r.Service != nil || old.Protocol != r.Protocol {
		return false
	}
	for _, e := range []*policy.Entity{&old.Source, &old.Destination} {
		if len(e.NotPorts)+len(e.NotNamedPorts) > 0 || e.NotSelector != nil || e.ServiceAccounts != nil || e.Service != nil {
			return false
		}
	}
	own := &old.Destination
	if d == policy.Egress {
		own = &old.Source
	}
	return len(old.Source.Ports)+len(old.Source.NamedPorts) == 0 &&
		own.Selector == nil && own.NamespaceSelector == nil && len(own.Nets)+len(own.NotNets) == 0
}

func samePeer(e *policy.Entity, r *Rule) bool {
	return len(e.NotNets) == 0 && sameSelector(e.Selector, r.Selector) && sameSelector(e.NamespaceSelector, r.NamespaceSelector) &&
		slices.Equal(slices.SortedFunc(slices.Values(e.Nets), netip.Prefix.Compare), slices.SortedFunc(slices.Values(r.Nets), netip.Prefix.Compare))
}

func sameSelector(a, b *selector.Selector) bool {
	return (a == nil) == (b == nil) && (a == nil || a.String() == b.String())
}

// samePorts compares ports, those of r by name or by number.
func samePorts(e *policy.Entity, r *Rule) bool {
	byRange := func(a, b policy.PortRange) int { return cmp.Or(cmp.Compare(a.Min, b.Min), cmp.Compare(a.Max, b.Max)) }
	names, numbers := []string{}, slices.Clone(r.Ports)
	for _, p := range r.NamedPorts {
		names = append(names, p.Name)
		numbers = append(numbers, policy.PortRange{Min: p.Port, Max: p.Port})
	}
	equal := func(ports []policy.PortRange, named []string) bool {
		return slices.Equal(slices.SortedFunc(slices.Values(e.Ports), byRange), slices.SortedFunc(slices.Values(ports), byRange)) &&
			slices.Equal(slices.Sorted(slices.Values(e.NamedPorts)), slices.Sorted(slices.Values(named)))
	}
	return equal(r.Ports, names) || equal(numbers, nil)
}
