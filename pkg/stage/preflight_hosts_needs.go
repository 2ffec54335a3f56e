package stage

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// kubeletsAndAPI: logs, exec and port-forward are connections of the API server to
// kubelets, and a kubelet that does not reach the API server loses its node.
func (c *preflight) kubeletsAndAPI() []need {
	svc := c.snap.Service("default", "kubernetes")
	var out []need
	if svc == nil || len(svc.Backends) == 0 {
		c.report.NotChecked = append(c.report.NotChecked, "hosts: API server and kubelets: the API server's address is not known (Service default/kubernetes has no endpoints)")
		return nil
	}
	add := func(who string, src, dst netip.Addr, proto policy.Protocol, port uint16) {
		if src.Is4() == dst.Is4() {
			out = append(out, need{who: who, conn: tier.Conn{Source: tier.Peer{Addr: src}, Destination: tier.Peer{Addr: dst}, Protocol: proto, Port: port}})
		}
	}
	var kubelets []netip.Addr
	for _, n := range c.snap.Nodes {
		kubelets = append(kubelets, n.Addrs...)
	}
	for _, h := range c.snap.HostEndpoints {
		kubelets = append(kubelets, hostAddrs(c.snap, h)...)
	}
	for _, a := range unique(kubelets) {
		for _, b := range svc.Backends {
			add("API server to kubelet: logs, exec", b.Addr, a, policy.TCP, kubeletPort)
			for _, p := range b.Ports {
				add("kubelet to API server", a, b.Addr, p.Protocol, p.Port)
			}
		}
	}
	return out
}

// seenAtHosts is the traffic of nodes that was seen.
func (c *preflight) seenAtHosts() []need {
	rp := replay.New(c.m)
	var out []need
	for _, o := range rp.Observed(c.facts.Flows) {
		if o.Source.Kind == flow.PeerWorkload && o.Destination.Kind == flow.PeerWorkload {
			continue
		}
		destinations := c.peersOf(rp, o.Destination)
		for _, src := range c.peersOf(rp, o.Source) {
			for _, dst := range destinations {
				if a, b := addrOf(src), addrOf(dst); a.IsValid() && b.IsValid() && a.Is4() != b.Is4() {
					continue
				}
				out = append(out, need{who: "traffic that was seen", conn: tier.Conn{Source: src, Destination: dst, Protocol: o.Protocol, Port: replay.Port(&o)}})
			}
		}
	}
	return out
}

func addrOf(p tier.Peer) netip.Addr {
	if p.Endpoint != nil && len(p.Endpoint.Addrs) > 0 {
		return p.Endpoint.Addrs[0]
	}
	return p.Addr
}

// peersOf are what a peer of a flow stands for: of a workload's pods one of each
// kind on each node, all addresses of a node.
func (c *preflight) peersOf(rp *replay.Replay, p flow.Peer) []tier.Peer {
	var out []tier.Peer
	switch p.Kind {
	case flow.PeerWorkload:
		type alike struct {
			identity int
			node     string
		}
		seen := map[alike]bool{}
		for _, ep := range rp.Endpoints(p.Workload) {
			if k := (alike{c.m.Identity(ep), ep.Node}); !seen[k] {
				seen[k] = true
				out = append(out, tier.Peer{Endpoint: ep})
			}
		}
	case flow.PeerHost:
		for _, n := range c.snap.Nodes {
			if n.Name == p.Workload.Name {
				for _, a := range n.Addrs {
					out = append(out, tier.Peer{Addr: a})
				}
			}
		}
	default:
		out = append(out, c.m.Peer(p.Addr))
	}
	return out
}
