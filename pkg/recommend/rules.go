package recommend

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// Bounds that the API sets on one rule and one policy.
const (
	maxSelector = 1024
	maxNets     = 256
	maxPorts    = 50
	maxRules    = 1024
)

// Rule is one Allow rule. The peer is picked by selectors or by nets, never by
// neither.
type Rule struct {
	Protocol          policy.Protocol
	Ports             []policy.PortRange // empty for protocols without ports
	Selector          *selector.Selector
	NamespaceSelector *selector.Selector
	Nets              []netip.Prefix
	// Evidence are the flows that it is written for.
	Evidence []*flow.Observed
}

// class is what peers must have in common to share a rule: their namespace
// ("" is the policy's own), or the family of their addresses.
type class struct {
	rank      int // 0 own namespace, 1 other namespaces, 2 IPv4, 3 IPv6
	namespace string
}

// one is everything that one peer needs of one protocol.
type one struct {
	peer     flow.Peer
	class    class
	pick     pick
	net      netip.Prefix
	protocol policy.Protocol
	ports    map[uint16]bool
	evidence []*flow.Observed
}

// rulesFor merges the needs of one direction into the fewest rules that allow
// nothing else: peers share a rule if they need the same protocol and ports and
// can be named together.
func rulesFor(dir policy.Direction, t *target, labels *labeler, res *Result) []Rule {
	ones := map[string]*one{}
	for _, n := range t.needs[dir] {
		for _, proto := range protocolsFor(dir, n, labels) {
			o, reason := newOne(n, proto, t.workloads[0].Namespace, labels)
			if reason != "" {
				res.Skipped = append(res.Skipped, Skipped{Flow: n.flow, Reason: reason})
				break
			}
			key := o.key()
			if ones[key] == nil {
				ones[key] = o
			}
			ones[key].ports[n.flow.Port] = true
			if !slices.Contains(ones[key].evidence, n.flow) {
				ones[key].evidence = append(ones[key].evidence, n.flow)
			}
		}
	}
	groups := map[string][]*one{}
	for _, k := range slices.Sorted(maps.Keys(ones)) {
		o := ones[k]
		g := o.class.key() + " " + o.protocol.String() + " " + portsText(o.portRanges())
		groups[g] = append(groups[g], o)
	}
	var rules []Rule
	for _, members := range groups {
		rules = append(rules, groupRules(members)...)
	}
	slices.SortFunc(rules, compareRules)
	if len(rules) > maxRules {
		for _, r := range rules[maxRules:] {
			for _, o := range r.Evidence {
				res.Skipped = append(res.Skipped, Skipped{Flow: o, Reason: "a policy has at most " + strconv.Itoa(maxRules) + " rules a direction"})
			}
		}
		rules = rules[:maxRules]
	}
	return rules
}

// protocolsFor is the protocol of the flow, and for DNS the other one too: long
// answers come over TCP (S33).
func protocolsFor(dir policy.Direction, n need, labels *labeler) []policy.Protocol {
	var eps []*policy.Endpoint
	if n.peer.Kind == flow.PeerWorkload {
		eps = labels.rp.Endpoints(n.peer.Workload)
	}
	if dir == policy.Egress && isDNS(n.flow, labels.services, eps) {
		return []policy.Protocol{policy.UDP, policy.TCP}
	}
	return []policy.Protocol{n.flow.Protocol}
}

func newOne(n need, proto policy.Protocol, ownNamespace string, labels *labeler) (o *one, reason string) {
	o = &one{peer: n.peer, protocol: proto, ports: map[uint16]bool{}}
	if n.peer.Kind != flow.PeerWorkload {
		addr := n.peer.Addr.Unmap()
		if !addr.IsValid() {
			return nil, "the address is not known; a rule for any address is never recommended"
		}
		o.net = netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
		o.class = class{rank: 2}
		if addr.Is6() {
			o.class.rank = 3
		}
		return o, ""
	}
	w := n.peer.Workload
	if eps := labels.rp.Endpoints(w); len(eps) > 0 {
		w = eps[0].Workload
	}
	o.pick, _ = labels.pick(w)
	if o.pick.empty() {
		return nil, w.String() + " has no label that a selector could pick it by; give its pods one"
	}
	if w.Namespace != ownNamespace {
		o.class = class{rank: 1, namespace: w.Namespace}
	}
	return o, ""
}

func (c class) key() string { return strconv.Itoa(c.rank) + " " + c.namespace }

// key tells peers and protocols apart; peers with one selector are one.
func (o *one) key() string {
	who := o.net.String()
	if !o.pick.empty() {
		who = o.pick.selector().String()
	}
	return o.class.key() + " " + who + " " + o.protocol.String()
}

// portRanges are the ports, three and more in a row as a range.
func (o *one) portRanges() []policy.PortRange {
	if !o.protocol.HasPorts() {
		return nil
	}
	var out []policy.PortRange
	for _, p := range slices.Sorted(maps.Keys(o.ports)) {
		if n := len(out); n > 0 && int(out[n-1].Max)+1 == int(p) {
			out[n-1].Max = p
			continue
		}
		out = append(out, policy.PortRange{Min: p, Max: p})
	}
	var split []policy.PortRange
	for _, r := range out {
		if r.Max-r.Min == 1 {
			split = append(split, policy.PortRange{Min: r.Min, Max: r.Min}, policy.PortRange{Min: r.Max, Max: r.Max})
			continue
		}
		split = append(split, r)
	}
	return split
}

// groupRules are the rules for peers that share class, protocol and ports; as
// many as the API's bounds need.
func groupRules(members []*one) []Rule {
	base := Rule{Protocol: members[0].protocol}
	c := members[0].class
	if c.rank == 1 {
		base.NamespaceSelector = selector.Eq("kubernetes.io/metadata.name", c.namespace)
	}
	var byPeer []Rule
	if c.rank >= 2 {
		byPeer = netRules(base, members)
	} else {
		byPeer = selectorRules(base, members)
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
		strings.Compare(a.Selector.String(), b.Selector.String()),
		slices.CompareFunc(a.Nets, b.Nets, netip.Prefix.Compare),
	)
}

func ruleRank(r Rule) int {
	switch {
	case len(r.Nets) > 0 && r.Nets[0].Addr().Is6():
		return 3
	case len(r.Nets) > 0:
		return 2
	case r.NamespaceSelector != nil:
		return 1
	}
	return 0
}

func portsText(ports []policy.PortRange) string {
	out := make([]string, len(ports))
	for i, p := range ports {
		out[i] = p.String()
	}
	return strings.Join(out, ",")
}

// aggregate joins nets into larger ones where these hold nothing else: the
// result covers the same addresses. It is sorted.
func aggregate(nets []netip.Prefix) []netip.Prefix {
	nets = slices.Clone(nets)
	slices.SortFunc(nets, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, n := range slices.Compact(nets) {
		if len(out) > 0 && out[len(out)-1].Overlaps(n) {
			continue // sorted: the last one is the larger
		}
		out = append(out, n)
		for len(out) > 1 {
			a, b := out[len(out)-2], out[len(out)-1]
			parent := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
			if a.Bits() != b.Bits() || a.Bits() == 0 || a == b || parent.Addr() != a.Addr() || !parent.Contains(b.Addr()) {
				break
			}
			out = append(out[:len(out)-2], parent)
		}
	}
	return out
}
