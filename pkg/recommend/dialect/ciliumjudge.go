package dialect

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// allows says whether the end of a connection in a direction allows it. Pods of
// closed namespaces are closed, whatever selects them.
func (c *ciliumPolicies) allows(o *flow.Observed, dir policy.Direction, conn tier.Conn, closed map[string]bool) bool {
	own, peer, peerSeen := conn.Source, conn.Destination, o.Destination
	if dir == policy.Ingress {
		own, peer, peerSeen = conn.Destination, conn.Source, o.Source
		if peerSeen.Kind == flow.PeerHost && (peerSeen.Workload.Name == "" || peerSeen.Workload.Name == own.Endpoint.Node) {
			return true
		}
	}
	isolated := closed[own.Endpoint.Namespace]
	for i := range c.policies {
		p := &c.policies[i]
		if p.Metadata.Namespace != own.Endpoint.Namespace || !p.Spec.EndpointSelector.matches(own.Endpoint, "") {
			continue
		}
		rules := p.Spec.Egress
		if dir == policy.Ingress {
			rules = p.Spec.Ingress
		}
		isolated = isolated || len(rules) > 0
		for j := range rules {
			if c.ruleAllows(&rules[j], peer, peerSeen, p.Metadata.Namespace) && rules[j].at(conn) {
				return true
			}
		}
	}
	return !isolated
}

// ruleAllows says whether a rule's peers hold the other end.
func (c *ciliumPolicies) ruleAllows(r *ciliumRule, peer tier.Peer, seen flow.Peer, namespace string) bool {
	if peer.Endpoint != nil {
		return slices.ContainsFunc(slices.Concat(r.FromEndpoints, r.ToEndpoints), func(s ciliumSelector) bool {
			return s.matches(peer.Endpoint, namespace)
		})
	}
	entities := slices.Concat(r.FromEntities, r.ToEntities)
	node := seen.Kind == flow.PeerHost || slices.ContainsFunc(c.snap.Nodes, func(n *policy.Node) bool { return slices.Contains(n.Addrs, peer.Addr) })
	if slices.Contains(entities, "kube-apiserver") && c.isAPI(peer.Addr) {
		return true
	}
	if node {
		return slices.Contains(entities, "remote-node") || slices.Contains(entities, "host")
	}
	return slices.ContainsFunc(slices.Concat(r.FromCIDR, r.ToCIDR), func(n netip.Prefix) bool { return n.Contains(peer.Addr) })
}

// isAPI says whether an address is the API server's, as Cilium finds it: behind
// Service kubernetes.
func (c *ciliumPolicies) isAPI(addr netip.Addr) bool {
	svc := c.snap.Service("default", "kubernetes")
	return svc != nil && (slices.Contains(svc.Addrs, addr) ||
		slices.ContainsFunc(svc.Backends, func(b policy.Backend) bool { return b.Addr == addr }))
}

// at says whether the ports of a rule, or its ICMP types, hold a connection's. A
// rule without either holds all.
func (r *ciliumRule) at(c tier.Conn) bool {
	if c.Protocol.HasTypes() && len(r.ICMPs) > 0 {
		typ, _ := policy.ICMPTypeCode(c.Port)
		for _, list := range r.ICMPs {
			for _, f := range list.Fields {
				if f.Type == typ && (f.Family == "IPv6") == (c.Protocol == policy.ICMPv6) {
					return true
				}
			}
		}
		return false
	}
	if len(r.ToPorts) == 0 {
		return len(r.ICMPs) == 0
	}
	for _, list := range r.ToPorts {
		for _, p := range list.Ports {
			if p.holds(c) {
				return true
			}
		}
	}
	return false
}

func (p *ciliumPort) holds(c tier.Conn) bool {
	if p.Protocol != c.Protocol.String() {
		return false
	}
	n, err := strconv.ParseUint(p.Port, 10, 16)
	if err != nil {
		return c.Destination.Endpoint != nil && slices.ContainsFunc(c.Destination.Endpoint.Ports, func(have policy.ContainerPort) bool {
			return have.Name == p.Port && have.Protocol == c.Protocol && have.Port == c.Port
		})
	}
	return c.Port == uint16(n) || c.Port > uint16(n) && c.Port <= p.EndPort
}

// matches says whether a selector picks a pod. Where it says nothing of a
// namespace it picks pods of the policy's own, if that is given.
func (s *ciliumSelector) matches(ep *policy.Endpoint, own string) bool {
	named := false
	value := func(key string) (string, bool) {
		switch key = strings.TrimPrefix(key, "k8s:"); key {
		case strings.TrimPrefix(ciliumNamespace, "k8s:"):
			named = true
			return ep.Namespace, true
		case strings.TrimPrefix(ciliumAccount, "k8s:"):
			return ep.Labels[policy.LabelServiceAccount], true
		}
		v, ok := ep.Labels[key]
		return v, ok
	}
	for k, want := range s.MatchLabels {
		if v, ok := value(k); !ok || v != want {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		v, ok := value(e.Key)
		in := ok && slices.Contains(e.Values, v)
		switch e.Operator {
		case "In":
			ok = in
		case "NotIn":
			ok = !in
		case "DoesNotExist":
			ok = !ok
		}
		if !ok {
			return false
		}
	}
	return named || own == "" || ep.Namespace == own
}
