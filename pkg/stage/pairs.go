package stage

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

const (
	// maxPairs bounds how many connections between pods are made up, and
	// maxOutside how many addresses outside and ports there stand for all.
	maxPairs, maxOutside = 10000, 16
)

// everyPair are the connections between all pods that policies can tell apart, on
// the ports that the pods declare, and with addresses outside that the policies
// name and one that they do not; none where that are too many.
func everyPair(m *tier.Model, staged []policy.Key) []Connection {
	pods := oneOfEach(m, m.Snapshot().Endpoints)
	addrs, ports := outside(m, staged, pods)
	all := 0
	for _, ep := range pods {
		all += len(ep.Ports)*(len(pods)+len(addrs)) + len(addrs)*len(ports)
	}
	if all > maxPairs {
		return nil
	}
	var out []Connection
	add := func(src, dst tier.Peer, p policy.ContainerPort) {
		what := fmt.Sprintf("%s → %s %s", peerOf(src), peerOf(dst), flow.PortText(p.Protocol, p.Port))
		out = append(out, connection(m, what, tier.Conn{Source: src, Destination: dst, Protocol: p.Protocol, Port: p.Port}, false))
	}
	for _, dst := range pods {
		for _, p := range dst.Ports {
			for _, src := range pods {
				add(tier.Peer{Endpoint: src}, tier.Peer{Endpoint: dst}, p)
			}
			for _, a := range addrs {
				add(tier.Peer{Addr: a}, tier.Peer{Endpoint: dst}, p)
			}
		}
	}
	for _, src := range pods {
		for _, a := range addrs {
			for _, p := range ports {
				add(tier.Peer{Endpoint: src}, tier.Peer{Addr: a}, p)
			}
		}
	}
	return out
}

// outside are addresses and ports outside the cluster that stand for those that
// the policies to be promoted tell apart, the ones that they replace, and others of
// the same pods: what one of these allows, a tier before it may close for a moment.
func outside(m *tier.Model, staged []policy.Key, pods []*policy.Endpoint) (addrs []netip.Addr, ports []policy.ContainerPort) {
	addrs = []netip.Addr{netip.MustParseAddr("192.0.2.1")} // of TEST-NET-1 (RFC 5737)
	ports = []policy.ContainerPort{{Protocol: policy.TCP, Port: 443}}
	for _, key := range staged {
		twin, _ := Twin(key)
		for _, p := range []*policy.Policy{m.Snapshot().Policy(key), m.Snapshot().Policy(twin)} {
			if p == nil {
				continue
			}
			for i := range p.Rules[policy.Egress] {
				ports = append(ports, portsOfRule(&p.Rules[policy.Egress][i])...)
			}
			for _, rules := range p.Rules {
				for i := range rules {
					for _, n := range slices.Concat(rules[i].Source.Nets, rules[i].Destination.Nets) {
						addrs = append(addrs, n.Masked().Addr())
					}
				}
			}
		}
	}
	for _, n := range netsBeside(m, staged, pods) {
		addrs = append(addrs, n.Masked().Addr())
	}
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return m.Owner(a) != nil })
	addrs, ports = unique(addrs), unique(ports)
	return addrs[:min(len(addrs), maxOutside)], ports[:min(len(ports), maxOutside)]
}

// netsBeside are the nets that policies tell apart of pods which a promotion
// changes the policies of, maxOutside at most.
func netsBeside(m *tier.Model, staged []policy.Key, pods []*policy.Endpoint) []netip.Prefix {
	changes := func(p *policy.Policy) bool {
		twin, ok := Twin(p.Key)
		return slices.Contains(staged, p.Key) || ok && slices.Contains(staged, twin)
	}
	var out []netip.Prefix
	for _, ep := range pods {
		for _, d := range []policy.Direction{policy.Ingress, policy.Egress} {
			for _, scope := range []tier.Scope{tier.Enforced(), tier.Some(staged...)} {
				if slices.ContainsFunc(m.Selecting(scope, d, ep), changes) {
					out = unique(append(out, m.Nets(scope, d, ep)...))
				}
				if len(out) >= maxOutside {
					return out[:maxOutside]
				}
			}
		}
	}
	return out
}

// portsOfRule are ports that a rule matches.
func portsOfRule(r *policy.Rule) []policy.ContainerPort {
	protocol := r.Protocol
	if protocol == 0 {
		protocol = policy.TCP
	}
	if !protocol.HasPorts() {
		return nil
	}
	var out []policy.ContainerPort
	for _, p := range r.Destination.Ports {
		out = append(out, policy.ContainerPort{Protocol: protocol, Port: p.Min})
	}
	if len(out) == 0 {
		out = append(out, policy.ContainerPort{Protocol: protocol, Port: 443})
	}
	return out
}

// unique are values without repetitions, in their order.
func unique[T comparable](in []T) []T {
	var out []T
	for _, v := range in {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}
