package stage

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// failsafes are what host endpoints always let through, whatever policies say
// (S30), by direction and protocol.
var failsafes = [2]map[policy.Protocol][]uint16{
	policy.Ingress: {policy.TCP: {22, 179, 2379, 2380, 5473, 6443, 6666, 6667}, policy.UDP: {68}},
	policy.Egress:  {policy.TCP: {179, 2379, 2380, 5473, 6443, 6666, 6667}, policy.UDP: {53, 67}},
}

// hostJudge judges what nodes themselves receive and send, by the policies for
// host endpoints. Calico enforces those, and no agent of ours does, so nothing else
// asks for it: the host endpoints are endpoints of a model of its own.
type hostJudge struct {
	m    *tier.Model
	snap *policy.Snapshot
	at   map[netip.Addr][]*hostEnd
}

// hostEnd is a host endpoint, and the endpoint that stands for it.
type hostEnd struct {
	*policy.HostEndpoint
	ep *policy.Endpoint
}

// hostDenial is a host endpoint that refuses a connection, and what of it does.
type hostDenial struct {
	host *hostEnd
	by   policy.Hit
}

// newHostJudge is for the host endpoints of a model's snapshot.
func newHostJudge(m *tier.Model) *hostJudge {
	snap := m.Snapshot()
	j := &hostJudge{snap: snap.WithPolicies(snap.Policies), at: map[netip.Addr][]*hostEnd{}}
	var eps []*policy.Endpoint
	for _, h := range snap.HostEndpoints {
		e := &hostEnd{h, &policy.Endpoint{Name: h.Name, Node: h.Node, Labels: h.Labels, Ports: h.Ports, Addrs: hostAddrs(snap, h)}}
		for _, a := range e.ep.Addrs {
			j.at[a.Unmap()] = append(j.at[a.Unmap()], e)
		}
		eps = append(eps, e.ep)
	}
	slices.SortFunc(eps, func(a, b *policy.Endpoint) int { return strings.Compare(a.Name, b.Name) })
	j.snap.Endpoints = slices.Concat(eps, snap.Endpoints)
	j.m = tier.New(j.snap, nil)
	return j
}

// hostAddrs are the addresses of a host endpoint: those that it says, else all of
// its node.
func hostAddrs(snap *policy.Snapshot, h *policy.HostEndpoint) []netip.Addr {
	if len(h.Addrs) > 0 {
		return h.Addrs
	}
	for _, n := range snap.Nodes {
		if n.Name == h.Node {
			return n.Addrs
		}
	}
	return nil
}

// concerns says whether one of a connection's ends is a host endpoint that is
// asked about it. What stays on one node does not go by its interfaces (S12).
func (j *hostJudge) concerns(c tier.Conn) bool {
	if a, b := j.node(c.Source), j.node(c.Destination); a != "" && a == b {
		return false
	}
	return len(j.ends(c.Source)) > 0 || len(j.ends(c.Destination)) > 0
}

// ends are the host endpoints that a peer is.
func (j *hostJudge) ends(p tier.Peer) []*hostEnd {
	if p.Endpoint != nil {
		return nil
	}
	return j.at[p.Addr.Unmap()]
}

// node is the node that a peer is on, or is; "" where that is not known.
func (j *hostJudge) node(p tier.Peer) string {
	if p.Endpoint != nil {
		return p.Endpoint.Node
	}
	if ends := j.at[p.Addr.Unmap()]; len(ends) > 0 {
		return ends[0].Node
	}
	return nodeAt(j.snap, p.Addr)
}

// nodeAt is the node that has an address, "" for none.
func nodeAt(snap *policy.Snapshot, a netip.Addr) string {
	for _, n := range snap.Nodes {
		if slices.Contains(n.Addrs, a) {
			return n.Name
		}
	}
	return ""
}

// denied is what refuses a connection at its host endpoints, by direction.
func (j *hostJudge) denied(scope tier.Scope, c tier.Conn) (out [2]*hostDenial) {
	if !j.concerns(c) {
		return out
	}
	own, peer := [2]tier.Peer{policy.Ingress: c.Destination, policy.Egress: c.Source}, [2]tier.Peer{policy.Ingress: c.Source, policy.Egress: c.Destination}
	for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
		if slices.Contains(failsafes[d][c.Protocol], c.Port) {
			continue
		}
		for _, h := range j.ends(own[d]) {
			v := j.m.Judge(scope, d, tier.Peer{Endpoint: h.ep, Addr: own[d].Addr, Port: own[d].Port}, peer[d], c.Protocol, c.Port)
			// S9: what no policy decides is denied. A profile decides then, where
			// there is one; those that Calico makes allow.
			if v.By.Rule == policy.NoPolicy && len(h.Profiles) == 0 {
				v.Action = policy.Deny
			}
			if v.Action != policy.Allow && out[d] == nil {
				out[d] = &hostDenial{h, v.By}
			}
		}
	}
	return out
}
