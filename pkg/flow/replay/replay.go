// Package replay asks a model about flows that were observed: it finds the pods
// that a flow's workloads have now, and judges every connection that could be
// meant, at both ends.
//
// It is pure, and decides nothing itself: package tier does.
package replay

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Replay judges flows by one model. It does not change once it is made.
type Replay struct {
	model     *tier.Model
	workloads map[string][]*policy.Endpoint // by namespace/name
	names     *flow.SetNames
	nets      bool // some policy judges by addresses
}

// New prepares to judge by m.
func New(m *tier.Model) *Replay {
	snap := m.Snapshot()
	r := &Replay{model: m, workloads: map[string][]*policy.Endpoint{}, names: flow.NewSetNames(snap.NetworkSets, nil)}
	for _, ep := range snap.Endpoints {
		r.workloads[ep.Workload.String()] = append(r.workloads[ep.Workload.String()], ep)
	}
	for _, p := range snap.Policies {
		for _, rules := range p.Rules {
			for i := range rules {
				r.nets = r.nets || usesAddresses(&rules[i])
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

// usesAddresses says whether r can tell two addresses of pods with the same
// labels and named ports apart. Network sets can too, but only those that hold
// some of them: pairs looks at them itself.
func usesAddresses(r *policy.Rule) bool {
	for _, e := range []*policy.Entity{&r.Source, &r.Destination} {
		if len(e.Nets)+len(e.NotNets) > 0 || e.Service != nil {
			return true
		}
	}
	return r.IPVersion != 0
}

// Observed puts flows together (flow.Merge), with what is outside named by the
// network sets of the present.
func (r *Replay) Observed(flows []flow.Flow) []flow.Observed {
	named := slices.Clone(flows)
	for i := range named {
		named[i].Source, named[i].Destination = r.names.Rename(named[i].Source), r.names.Rename(named[i].Destination)
	}
	return flow.Merge(named)
}

// Port is what an observed flow is judged by. A source of flows that does not
// tell the type of ICMP most likely saw a ping.
func Port(o *flow.Observed) uint16 {
	if o.Protocol.HasTypes() && o.Port == 0 {
		return policy.EchoRequest(o.Protocol)
	}
	return o.Port
}

// Endpoints are the pods that w has now. A workload without a kind (from a
// source that does not tell it) is found by its name.
func (r *Replay) Endpoints(w policy.Workload) []*policy.Endpoint {
	var out []*policy.Endpoint
	for _, ep := range r.workloads[w.String()] {
		if w.Kind == "" || ep.Workload.Kind == w.Kind {
			out = append(out, ep)
		}
	}
	return out
}

// Gone says whether p is a workload that has no pods any more.
func (r *Replay) Gone(p flow.Peer) bool {
	return p.Kind == flow.PeerWorkload && len(r.Endpoints(p.Workload)) == 0
}

// Verdict is what a model says of one pair of ends: why it refuses, by
// policy.Direction; nil where that end allows or is not a pod.
type Verdict struct{ Denied [2]*policy.Hit }

// Allowed says whether both ends allow (S10).
func (v Verdict) Allowed() bool {
	return v.Denied[policy.Egress] == nil && v.Denied[policy.Ingress] == nil
}

// Pairs are all pairs of ends that an observed flow stands for now, those left
// out that no policy can tell from one that is there. Empty if an end is gone.
func (r *Replay) Pairs(o *flow.Observed) []tier.Conn {
	var out []tier.Conn
	// Replicas that talk to each other are a pair, even if they are alike.
	replicas := 1
	if o.Source == o.Destination {
		replicas = 2
	}
	for _, src := range r.peers(o.Source, replicas) {
		for _, dst := range r.peers(o.Destination, replicas) {
			out = r.pair(out, src, dst, o)
		}
	}
	return out
}

// pair adds the connections between two ends: one for each family that both
// have addresses of, or one alone where no policy judges by addresses.
func (r *Replay) pair(out []tier.Conn, src, dst tier.Peer, o *flow.Observed) []tier.Conn {
	if src.Endpoint != nil && dst.Endpoint != nil && src.Endpoint.ID() == dst.Endpoint.ID() {
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
// policies can tell apart.
func (r *Replay) peers(p flow.Peer, ofEach int) []tier.Peer {
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
		k := alike{identity: r.model.Identity(ep), node: ep.Node}
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

// Judge is the verdict on one of the pairs of o. What comes from a pod's own
// host is always allowed (S12).
func (r *Replay) Judge(scope tier.Scope, o *flow.Observed, c tier.Conn) Verdict {
	var v Verdict
	if src := c.Source.Endpoint; src != nil {
		if j := r.model.Judge(scope, policy.Egress, c.Source, c.Destination, c.Protocol, c.Port); j.Action != policy.Allow {
			v.Denied[policy.Egress] = &j.By
		}
	}
	if dst := c.Destination.Endpoint; dst != nil && !ownHost(o.Source, dst) {
		if j := r.model.Judge(scope, policy.Ingress, c.Destination, c.Source, c.Protocol, c.Port); j.Action != policy.Allow {
			v.Denied[policy.Ingress] = &j.By
		}
	}
	return v
}

// FromOwnHost says whether o comes from a host that runs pods which it goes to.
func (r *Replay) FromOwnHost(o *flow.Observed) bool {
	return slices.ContainsFunc(r.Endpoints(o.Destination.Workload), func(ep *policy.Endpoint) bool { return ownHost(o.Source, ep) })
}

// ownHost says whether p is the host that ep runs on. A host whose name is not
// known is taken for it, since only a pod's own host reports as one.
func ownHost(p flow.Peer, ep *policy.Endpoint) bool {
	return p.Kind == flow.PeerHost && (p.Workload.Name == "" || ep.Node == "" || p.Workload.Name == ep.Node)
}
