package recommend

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
)

// rank is what a rule picks its peers by, in the order in which rules are
// written.
type rank int

const (
	rankOwn    rank = iota // pods of the policy's own namespace
	rankOthers             // pods of another namespace
	rankOwnSet             // network sets of the own namespace
	rankOthersSet
	rankGlobalSet
	rankNet4
	rankNet6
	rankService
)

// class is what peers must have in common to share a rule.
type class struct {
	rank      rank
	namespace string // of rankOthers and rankOthersSet
	service   policy.ServiceRef
}

// what is the protocol and, of ICMP, the type and code.
type what struct {
	protocol policy.Protocol
	icmp     policy.ICMPMatch // zero for others
}

// one is everything that one peer needs of one protocol.
type one struct {
	class class
	what  what
	pick  pick         // of pods and network sets
	net   netip.Prefix // of nets
	set   policy.Key   // of network sets
	// picks are the workloads that pick selects now.
	picks []policy.Workload
	// flows are the evidence by port; 0 for protocols without ports.
	flows map[uint16][]*flow.Observed
	// seen are the pairs of workloads that were observed, by port.
	seen map[uint16]map[[2]policy.Workload]bool
}

// oneKey tells peers and protocols apart; peers with one selector are one.
type oneKey struct {
	class class
	what  what
	pick  string
	net   netip.Prefix
}

func (o *one) key() oneKey { return oneKey{o.class, o.what, o.pick.text(), o.net} }

// compareKeys orders peers for rules: by selector, then by net.
func compareKeys(a, b oneKey) int {
	return cmp.Or(strings.Compare(a.pick, b.pick), a.net.Compare(b.net))
}

// finder finds how the peers of one target can be written.
type finder struct {
	*labeler
	write *Write
	dir   policy.Direction
	t     *target
}

// protocols is the protocol of the flow, and for DNS the other one too: long
// answers come over TCP (S33).
func (f *finder) protocols(n *need) []policy.Protocol {
	if f.dir == policy.Egress && !f.write.Exact && f.isDNS(n.flow) {
		return []policy.Protocol{policy.UDP, policy.TCP}
	}
	return []policy.Protocol{n.flow.Protocol}
}

// find is how the peer of a need is written, or why it can't be.
func (f *finder) find(n *need, proto policy.Protocol) (o *one, reason string) {
	o = &one{what: f.what(n.flow, proto), flows: map[uint16][]*flow.Observed{}, seen: map[uint16]map[[2]policy.Workload]bool{}}
	if svc := f.asService(n.flow, proto); svc != nil {
		o.class, o.what = class{rank: rankService, service: *svc}, what{}
		return o, ""
	}
	switch n.peer.Kind {
	case flow.PeerWorkload:
		return o, f.pods(o, n)
	case flow.PeerNetworkSet:
		if f.set(o, n.peer) {
			return o, ""
		}
	}
	addr := n.peer.Addr.Unmap().WithZone("")
	o.net, o.class.rank = netip.PrefixFrom(addr, addr.BitLen()), rankNet4
	if addr.Is6() {
		o.class.rank = rankNet6
	}
	return o, ""
}

func (f *finder) what(o *flow.Observed, proto policy.Protocol) what {
	w := what{protocol: proto}
	if proto.HasTypes() {
		typ, code := policy.ICMPTypeCode(replay.Port(o))
		w.icmp = policy.ICMPMatch{Type: typ, Code: policy.AnyCode}
		if f.write.Exact {
			w.icmp.Code = int(code)
		}
	}
	return w
}

// asService is the Service that the peer of an egress flow is written as, nil if
// none: one that is served on the node or is the API, whose addresses may change;
// the cluster's DNS, if it is served on the nodes too (S33); else the one that was
// used, where that is asked for.
func (f *finder) asService(o *flow.Observed, proto policy.Protocol) *policy.ServiceRef {
	if f.dir != policy.Egress || f.write.Exact {
		return nil
	}
	if o.Destination.Kind != flow.PeerWorkload {
		return f.servedAt(o.Destination.Addr.Unmap().WithZone(""), proto, o.Port)
	}
	dns := f.isDNS(o)
	for _, name := range o.Services {
		svc := f.service(name)
		if svc != nil && (f.write.Services || dns && len(svc.Local) > 0) && f.leadsTo(svc, o, 0) {
			return &policy.ServiceRef{Namespace: svc.Namespace, Name: svc.Name}
		}
	}
	return nil
}

// pods writes a workload's pods by their labels.
func (f *finder) pods(o *one, n *need) (reason string) {
	w := f.workload(n.peer)
	o.pick, o.picks = f.pick(w)
	if o.pick.empty() {
		return w.String() + " has no label that a selector could pick it by; give its pods one"
	}
	if w.Namespace != f.t.namespace {
		o.class = class{rank: rankOthers, namespace: w.Namespace}
	}
	return ""
}

// set writes an address as the network set that holds it, unless that is nearly
// everything.
func (f *finder) set(o *one, p flow.Peer) bool {
	o.set = policy.Key{Kind: policy.KindGlobalNetworkSet, Namespace: p.Workload.Namespace, Name: p.Workload.Name}
	o.class.rank = rankGlobalSet
	switch o.set.Namespace {
	case "":
	case f.t.namespace:
		o.set.Kind, o.class.rank = policy.KindNetworkSet, rankOwnSet
	default:
		o.set.Kind, o.class = policy.KindNetworkSet, class{rank: rankOthersSet, namespace: o.set.Namespace}
	}
	set := f.snap.NetworkSet(o.set)
	if f.write.Exact || set == nil || slices.ContainsFunc(set.Nets, func(n netip.Prefix) bool { return n.Bits() < widestSetNet }) {
		o.class, o.set = class{}, policy.Key{}
		return false
	}
	o.pick = pick{equal: []label{{policy.LabelName, o.set.Name}}}
	return true
}

// widestSetNet is the shortest prefix in a network set that is written as a peer:
// a set with a wider one stands for the whole internet.
const widestSetNet = 8

// add notes a flow of the peer.
func (o *one) add(f *finder, n *need) {
	port := n.flow.Port
	if !o.what.protocol.HasPorts() {
		port = 0
	}
	if !slices.Contains(o.flows[port], n.flow) {
		o.flows[port] = append(o.flows[port], n.flow)
	}
	if !f.write.Exact {
		return
	}
	if o.seen[port] == nil {
		o.seen[port] = map[[2]policy.Workload]bool{}
	}
	o.seen[port][[2]policy.Workload{f.workload(flow.Peer{Kind: flow.PeerWorkload, Workload: n.own}), f.workload(n.peer)}] = true
}

// inexact drops what would let in more than was seen, since labels can't tell
// workloads apart, and is what was dropped.
func (o *one) inexact(t *target) []*flow.Observed {
	var out []*flow.Observed
	for port, seen := range o.seen {
		// A net is one peer, and the workload that it has is the zero one.
		want := len(t.workloads) * max(len(o.picks), 1)
		if len(seen) < want {
			out = append(out, o.flows[port]...)
			delete(o.flows, port)
		}
	}
	return out
}
