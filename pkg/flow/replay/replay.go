// Package replay asks a model about flows that were observed: it finds the pods
// that a flow's workloads have now, and judges every connection that could be
// meant, at both ends.
//
// It is pure, and decides nothing itself: package tier does.
package replay

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Replay judges flows by one model. It is not for several goroutines.
type Replay struct {
	model     *tier.Model
	workloads map[policy.Workload][]*policy.Endpoint // by namespace and name, of any kind
	names     *flow.SetNames
	hosts     map[string]netip.Addr // the first address of each node
	nets      bool                  // some policy judges by addresses
	families  [2]bool               // of addresses that pods have, IPv4 first

	// asked are the models whose answers are compared, atoms the addresses that
	// these tell apart, and unowned those of them outside, by network set: made
	// when an address is not known.
	asked   []*tier.Model
	atoms   *connectivity.Atoms
	unowned map[policy.Key]*addresses
}

// New prepares to judge by m. Others are models that are asked about the same
// cases (Cases), to compare what they say.
func New(m *tier.Model, others ...*tier.Model) *Replay {
	snap := m.Snapshot()
	r := &Replay{
		model: m, workloads: map[policy.Workload][]*policy.Endpoint{}, names: flow.NewSetNames(snap.NetworkSets, nil),
		hosts: map[string]netip.Addr{}, asked: append([]*tier.Model{m}, others...),
	}
	for _, ep := range snap.Endpoints {
		w := ofAnyKind(ep.Workload)
		r.workloads[w] = append(r.workloads[w], ep)
		for _, addr := range ep.Addrs {
			r.families[family(addr.Is4())] = true
		}
	}
	for _, n := range snap.Nodes {
		if len(n.Addrs) > 0 {
			r.hosts[n.Name] = n.Addrs[0]
		}
	}
	pods := podAddrs(snap.Endpoints)
	for _, p := range snap.Policies {
		for _, rules := range p.Rules {
			for i := range rules {
				r.nets = r.nets || usesAddresses(&rules[i], pods)
			}
		}
	}
	for _, h := range snap.HostEndpoints {
		for _, addr := range h.Addrs {
			r.nets = r.nets || m.Owner(addr) != nil // a selector may mean the host
		}
	}
	return r
}

// podAddrs are the addresses of pods, sorted.
func podAddrs(eps []*policy.Endpoint) []netip.Addr {
	var out []netip.Addr
	for _, ep := range eps {
		out = append(out, ep.Addrs...)
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// usesAddresses says whether r can tell two addresses of pods with the same
// labels and named ports apart. Nets that hold no pod can't. Network sets can too,
// but only those that hold some of them: pairs looks at them itself.
func usesAddresses(r *policy.Rule, pods []netip.Addr) bool {
	for _, e := range []*policy.Entity{&r.Source, &r.Destination} {
		if len(e.NotNets) > 0 || e.Service != nil || slices.ContainsFunc(e.Nets, func(n netip.Prefix) bool {
			i, _ := slices.BinarySearchFunc(pods, n.Masked().Addr(), netip.Addr.Compare)
			return i < len(pods) && n.Contains(pods[i])
		}) {
			return true
		}
	}
	return r.IPVersion != 0
}

// Observed puts flows together (flow.Merge), with what is outside named by the
// network sets of the present.
func (r *Replay) Observed(flows []flow.Flow) []flow.Observed {
	return flow.MergeNamed(flows, r.Named)
}

// Named is an end of a flow, with what is outside named by the network sets of
// the present, and with the first address of a node where the flow does not tell
// it.
func (r *Replay) Named(p flow.Peer) flow.Peer {
	if p.Kind == flow.PeerHost && !p.Addr.IsValid() {
		p.Addr = r.hosts[p.Workload.Name]
	}
	return r.names.Rename(p)
}

// Port is what an observed flow is judged by. A source of flows that does not
// tell the type of ICMP most likely saw a ping.
func Port(o *flow.Observed) uint16 {
	if o.Protocol.HasTypes() && o.Port == 0 {
		return policy.EchoRequest(o.Protocol)
	}
	return o.Port
}

// Endpoints are the pods that w has now, not to be changed. A workload without a
// kind (from a source that does not tell it) is found by its name.
func (r *Replay) Endpoints(w policy.Workload) []*policy.Endpoint {
	all := r.workloads[ofAnyKind(w)]
	other := func(ep *policy.Endpoint) bool { return w.Kind != "" && ep.Workload.Kind != w.Kind }
	if !slices.ContainsFunc(all, other) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), other)
}

// ofAnyKind is a workload's name alone.
func ofAnyKind(w policy.Workload) policy.Workload {
	w.Kind = ""
	return w
}

// Pairs are all pairs of ends that an observed flow stands for now, those left
// out that no policy can tell from one that is there. Empty if an end is gone.
func (r *Replay) Pairs(o *flow.Observed) []tier.Conn {
	if r.Gone(o) != "" {
		return nil
	}
	var out []tier.Conn
	// Replicas that talk to each other are a pair, even if they are alike.
	replicas := 1
	if o.Source == o.Destination {
		replicas = 2
	}
	// Which node a pod is on matters for what comes from a node (S12).
	byNode := o.Source.Kind == flow.PeerHost
	destinations := r.peers(o.Destination, replicas, byNode)
	for _, src := range r.peers(o.Source, replicas, false) {
		for _, dst := range destinations {
			out = r.pair(out, src, dst, o)
		}
	}
	return out
}

// pair adds the connections between two ends: one for each family that both
// have addresses of, or one alone where no policy judges by addresses.
func (r *Replay) pair(out []tier.Conn, src, dst tier.Peer, o *flow.Observed) []tier.Conn {
	if src.Endpoint != nil && dst.Endpoint != nil && src.Endpoint.SamePod(dst.Endpoint) {
		return out // a pod reaches itself (S32); its replicas are other pairs
	}
	conn := tier.Conn{Source: src, Destination: dst, Protocol: o.Protocol, Port: Port(o)}
	if !r.nets && !r.inSet(src) && !r.inSet(dst) {
		return append(out, conn)
	}
	any := false
	for _, is4 := range []bool{true, false} {
		if is4 && o.Protocol == policy.ICMPv6 || !is4 && o.Protocol == policy.ICMP {
			continue
		}
		c := conn
		var ok bool
		if c.Source.Addr, ok = ofFamily(src, is4); !ok {
			continue
		}
		if c.Destination.Addr, ok = ofFamily(dst, is4); !ok {
			continue
		}
		out, any = append(out, c), true
	}
	if !any {
		out = append(out, conn)
	}
	return out
}

// inSet says whether a network set holds an address of a pod.
func (r *Replay) inSet(p tier.Peer) bool {
	return p.Endpoint != nil && slices.ContainsFunc(p.Endpoint.Addrs, func(a netip.Addr) bool { return r.names.Net(a).IsValid() })
}

// ofFamily is p's address of one family.
func ofFamily(p tier.Peer, is4 bool) (netip.Addr, bool) {
	if p.Endpoint == nil || p.Addr.IsValid() {
		return p.Addr, p.Addr.IsValid() && p.Addr.Is4() == is4
	}
	for _, a := range p.Endpoint.Addrs {
		if a.Is4() == is4 {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// peers are the ends that p may be now, at most so many of each kind that the
// policies can tell apart, and nodes where they matter.
func (r *Replay) peers(p flow.Peer, ofEach int, byNode bool) []tier.Peer {
	if p.Kind != flow.PeerWorkload {
		if p.Kind == flow.PeerHost {
			return []tier.Peer{{Addr: p.Addr}}
		}
		return []tier.Peer{r.model.Peer(p.Addr)}
	}
	type alike struct {
		identity   int
		v4, v6     netip.Addr
		net4, net6 netip.Prefix // the most specific of network sets
		node       string
	}
	seen := map[alike]int{}
	var out []tier.Peer
	for _, ep := range r.Endpoints(p.Workload) {
		k := alike{identity: r.model.Identity(ep)}
		if byNode {
			k.node = ep.Node
		}
		v4, _ := ofFamily(tier.Peer{Endpoint: ep}, true)
		v6, _ := ofFamily(tier.Peer{Endpoint: ep}, false)
		k.net4, k.net6 = r.names.Net(v4), r.names.Net(v6)
		if r.nets {
			k.v4, k.v6 = v4, v6
		}
		if seen[k]++; seen[k] <= ofEach {
			out = append(out, tier.Peer{Endpoint: ep})
		}
	}
	return out
}
