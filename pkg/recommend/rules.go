package recommend

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
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

// Rule is one Allow rule. The peer is picked by selectors, by nets or by a
// Service, never by none.
type Rule struct {
	Protocol          policy.Protocol    // 0 with a Service, which has its own
	Ports             []policy.PortRange // empty for protocols without ports
	ICMP              *policy.ICMPMatch  // of ICMP and ICMPv6: the type; all codes
	Selector          *selector.Selector
	NamespaceSelector *selector.Selector
	Nets              []netip.Prefix
	Service           *policy.ServiceRef // egress only
	// Evidence are the flows that it is written for.
	Evidence []*flow.Observed
}

// class is what peers must have in common to share a rule: their namespace
// ("" is the policy's own), or the family of their addresses.
type class struct {
	rank      int // 0 own namespace, 1 other namespaces, 2 IPv4, 3 IPv6, 4 a Service
	namespace string
	service   policy.ServiceRef
}

// one is everything that one peer needs of one protocol.
type one struct {
	peer     flow.Peer
	class    class
	pick     pick
	net      netip.Prefix // or a Service, in class
	protocol policy.Protocol
	ports    map[uint16]bool
	icmp     *policy.ICMPMatch
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
		g := o.class.key() + " " + o.what() + " " + portsText(o.portRanges())
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
	if proto.HasTypes() {
		typ, _ := policy.ICMPTypeCode(replay.Port(n.flow))
		o.icmp = &policy.ICMPMatch{Type: typ, Code: policy.AnyCode}
	}
	if n.peer.Kind != flow.PeerWorkload {
		addr := n.peer.Addr.Unmap()
		if !addr.IsValid() {
			return nil, "the address is not known; a rule for any address is never recommended"
		}
		if svc := labels.servedAt(addr, proto, n.flow.Port); svc != nil {
			o.class, o.protocol = class{rank: 4, service: *svc}, 0
			return o, ""
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

func (c class) key() string {
	return fmt.Sprintf("%d %s %s", c.rank, c.namespace, c.service)
}

// what is the protocol, and ICMP's type.
func (o *one) what() string {
	if o.icmp == nil {
		return o.protocol.String()
	}
	return fmt.Sprintf("%s/%d", o.protocol, o.icmp.Type)
}

// key tells peers and protocols apart; peers with one selector are one.
func (o *one) key() string {
	who := o.net.String()
	if !o.pick.empty() {
		who = o.pick.selector().String()
	}
	return o.class.key() + " " + who + " " + o.what()
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

func portsText(ports []policy.PortRange) string {
	out := make([]string, len(ports))
	for i, p := range ports {
		out[i] = p.String()
	}
	return strings.Join(out, ",")
}
