package prove

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// numbers are the protocols that rules may name (S22).
var numbers = map[string]int{"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132, "UDPLite": 136}

func (p *Protocol) number() int {
	if p.Name != "" {
		return numbers[p.Name]
	}
	return p.Number
}

// ruleCount is how many rules the policy has in a direction.
func (p *Policy) ruleCount(dir policy.Direction) int {
	switch {
	case p.Kube == nil:
		return len(p.Rules(dir))
	case dir == policy.Ingress:
		return len(p.Kube.Ingress)
	}
	return len(p.Kube.Egress)
}

// rule says what rule i of the policy does with the packet.
func (w *World) rule(p *Policy, i int, c Packet) (policy.Action, bool) {
	if p.Kube != nil {
		rules := p.Kube.Ingress
		if c.Direction == policy.Egress {
			rules = p.Kube.Egress
		}
		return policy.Allow, w.kubeMatches(p, rules[i], c) // S4: rules are Allow
	}
	r := p.Rules(c.Direction)[i]
	return r.Action, w.matches(p, r, c)
}

// matches says whether every criterion of the rule holds.
func (w *World) matches(p *Policy, r Rule, c Packet) bool {
	source, destination := c.Local, c.Peer
	if c.Direction == policy.Ingress {
		source, destination = c.Peer, c.Local
	}
	// S22
	if r.Protocol != nil && r.Protocol.number() != c.Protocol {
		return false
	}
	if r.NotProtocol != nil && r.NotProtocol.number() == c.Protocol {
		return false
	}
	if r.IPVersion != 0 && r.IPVersion != c.family() {
		return false
	}
	// S23: nets, notNets too, of one family make it a rule of that family.
	if family := r.netFamily(); family != 0 && family != c.family() {
		return false
	}
	// S21
	if len(r.Destination.Ports) > 0 && !inPorts(r.Destination.Ports, c.Port) {
		return false
	}
	if inPorts(r.Destination.NotPorts, c.Port) {
		return false
	}
	return w.matchesEntity(p, r.Source, source) && w.matchesEntity(p, r.Destination, destination)
}

func (w *World) matchesEntity(p *Policy, e Entity, end End) bool {
	// Nets match addresses, whoever owns them; S17: notNets negates the match.
	if len(e.Nets) > 0 && !inNets(e.Nets, end.addrs()) {
		return false
	}
	if inNets(e.NotNets, end.addrs()) {
		return false
	}
	// S16: a namespaceSelector gives the scope; in a NetworkPolicy without it
	// selector and notSelector mean its own namespace.
	own := p.Namespace != "" && e.NamespaceSelector == nil && (e.Selector != nil || e.NotSelector != nil)
	// S17: with a scope or a positive selector known endpoints only.
	if end.Pod == nil && (own || e.NamespaceSelector != nil || e.Selector != nil) {
		return false
	}
	if own && end.Pod.Namespace != p.Namespace {
		return false
	}
	if e.NamespaceSelector != nil && !e.NamespaceSelector.Matches(w.namespace(end.Pod.Namespace).labels()) {
		return false
	}
	if e.Selector != nil && !e.Selector.Matches(end.Pod.labels()) {
		return false
	}
	// S17: outside the set, also an address that nobody owns.
	return e.NotSelector == nil || end.Pod == nil || !e.NotSelector.Matches(end.Pod.labels())
}

// kubeMatches is S4: any of the peers and any of the ports; none given is any.
func (w *World) kubeMatches(p *Policy, r KubeRule, c Packet) bool {
	peer := len(r.Peers) == 0
	for _, k := range r.Peers {
		peer = peer || w.kubePeer(p, k, c.Peer)
	}
	port := len(r.Ports) == 0
	for _, k := range r.Ports {
		port = port || k.matches(c)
	}
	return peer && port
}

func (w *World) kubePeer(p *Policy, k KubePeer, end End) bool {
	if k.Block.IsValid() {
		return inNets([]netip.Prefix{k.Block}, end.addrs()) && !inNets(k.Except, end.addrs())
	}
	if end.Pod == nil {
		return false
	}
	if k.NamespaceSelector == nil && end.Pod.Namespace != p.Namespace {
		return false
	}
	if k.NamespaceSelector != nil && !k.NamespaceSelector.matches(w.namespace(end.Pod.Namespace).labels()) {
		return false
	}
	return k.PodSelector == nil || k.PodSelector.matches(end.Pod.Labels)
}

func (k KubePort) matches(c Packet) bool {
	name := k.Protocol
	if name == "" {
		name = "TCP"
	}
	if numbers[name] != c.Protocol {
		return false
	}
	last := max(k.Port, k.EndPort)
	return k.Port == 0 || k.Port <= c.Port && c.Port <= last
}

func (s LabelSelector) matches(labels map[string]string) bool {
	for k, v := range s.MatchLabels {
		if have, has := labels[k]; !has || have != v {
			return false
		}
	}
	for _, e := range s.Expressions {
		value, has := labels[e.Key]
		holds := false
		switch e.Operator {
		case "In":
			holds = has && slices.Contains(e.Values, value)
		case "NotIn":
			holds = !has || !slices.Contains(e.Values, value)
		case "Exists":
			holds = has
		case "DoesNotExist":
			holds = !has
		}
		if !holds {
			return false
		}
	}
	return true
}

// netFamily is the family of the rule's nets, or 0 if it has none. The API
// does not let one rule mix them.
func (r Rule) netFamily() int {
	for _, e := range []Entity{r.Source, r.Destination} {
		switch nets := append(slices.Clone(e.Nets), e.NotNets...); {
		case len(nets) == 0:
		case nets[0].Addr().Is4():
			return 4
		default:
			return 6
		}
	}
	return 0
}

// addrs are the addresses that nets look at: the connection's, or, where that
// is not known, the pod's.
func (e End) addrs() []netip.Addr {
	if e.Addr.IsValid() || e.Pod == nil {
		return []netip.Addr{e.Addr}
	}
	return e.Pod.Addrs
}

// family is the connection's IP version, 4 or 6; one of its ends at least has
// an address.
func (c Packet) family() int {
	for _, a := range append(c.Local.addrs(), c.Peer.addrs()...) {
		if a.IsValid() && a.Is4() {
			return 4
		}
		if a.IsValid() {
			return 6
		}
	}
	return 0
}

// inNets says whether any address is in any net. A net of one family never
// holds an address of the other (S23).
func inNets(nets []netip.Prefix, addrs []netip.Addr) bool {
	for _, n := range nets {
		for _, a := range addrs {
			if n.Contains(a) {
				return true
			}
		}
	}
	return false
}

func inPorts(ports []PortRange, port int) bool {
	for _, p := range ports {
		if p.Min <= port && port <= p.Max {
			return true
		}
	}
	return false
}
