package prove

import (
	"cmp"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// sourcePort is the port that a connection comes from. Where nobody knows it
// is taken for one that the system gives out.
func (c Packet) sourcePort() int {
	if c.SourcePort == 0 {
		return tier.AssumedSourcePort
	}
	return c.SourcePort
}

// matchesPorts is S21 for one side of a rule.
func (w *World) matchesPorts(p *Policy, e Entity, end End, protocol, port int) bool {
	if len(e.Ports) > 0 && !w.inPorts(p, e, e.Ports, end, protocol, port) {
		return false
	}
	return !w.inPorts(p, e, e.NotPorts, end, protocol, port)
}

// inPorts says whether a list of ports holds the port, by number or by a name
// that the end's pod gives to it. The pod itself must be one that the entity's
// selectors match, not only its address by way of a network set.
func (w *World) inPorts(p *Policy, e Entity, ports []Port, end End, protocol, port int) bool {
	for _, r := range ports {
		if r.Name == "" && r.Min <= port && port <= r.Max {
			return true
		}
		if r.Name != "" && end.Pod != nil && w.selected(p, e, podHolder(end.Pod)) && end.Pod.declares(r.Name, protocol, port) {
			return true
		}
	}
	return false
}

// declares says whether the pod calls a port by the name.
func (p *Pod) declares(name string, protocol, port int) bool {
	return slices.ContainsFunc(p.ports(), func(c ContainerPort) bool {
		return c.Name == name && c.protocol() == protocol && c.Number == port
	})
}

// ports are those of the containers, then those of the sidecars.
func (p *Pod) ports() []ContainerPort {
	var out []ContainerPort
	for _, role := range []Role{RoleMain, RoleSidecar} {
		for _, c := range p.Containers {
			if c.Role == role {
				out = append(out, c.Ports...)
			}
		}
	}
	return out
}

func (c ContainerPort) protocol() int { return numbers[cmp.Or(c.Protocol, "TCP")] }

// matchesService is S20: in egress the destination is an endpoint of the
// Service at one of its ports there, in ingress the source is one of its
// endpoints' addresses.
func (w *World) matchesService(p *Policy, r Rule, c Packet) bool {
	ref := r.Destination.Service
	if c.Direction == policy.Ingress {
		ref = r.Source.Service
	}
	if ref == nil {
		return true
	}
	svc := w.service(cmp.Or(ref.Namespace, p.Namespace), ref.Name)
	if svc == nil {
		return false
	}
	for _, at := range w.backends(svc, c.Peer) {
		if c.Direction == policy.Ingress || slices.ContainsFunc(at, func(b ContainerPort) bool {
			return b.protocol() == c.Protocol && b.Number == c.Port
		}) {
			return true
		}
	}
	return false
}

// backends are the ports of every endpoint of the Service that an end is.
func (w *World) backends(svc *Service, end End) [][]ContainerPort {
	var out [][]ContainerPort
	if end.Pod != nil && svc.selects(end.Pod) {
		out = append(out, svc.targets(end.Pod))
	}
	for _, slice := range svc.Slices {
		for _, a := range slice.Addrs {
			// What Selector tells is not asked from slices, also where the
			// pod that it tells has lost the address to another (S35).
			told := slices.ContainsFunc(w.Endpoints(), func(p *Pod) bool { return svc.selects(p) && slices.Contains(p.Addrs, a) })
			if slices.Contains(end.addrs(), a) && !told {
				out = append(out, slice.Ports)
			}
		}
	}
	return out
}

func (s *Service) selects(p *Pod) bool {
	if len(s.Selector) == 0 || s.Namespace != p.Namespace {
		return false
	}
	for k, v := range s.Selector {
		if have, has := p.Labels[k]; !has || have != v {
			return false
		}
	}
	return true
}

// targets are where the Service's ports lead to in one pod. Of several ports
// of one name Kubernetes takes the first.
func (s *Service) targets(p *Pod) []ContainerPort {
	var out []ContainerPort
	for _, port := range s.Ports {
		to := ContainerPort{Protocol: port.Protocol, Number: cmp.Or(port.Target, port.Port)}
		if port.TargetName != "" {
			i := slices.IndexFunc(p.ports(), func(c ContainerPort) bool {
				return c.Name == port.TargetName && c.protocol() == to.protocol()
			})
			if i < 0 {
				continue
			}
			to.Number = p.ports()[i].Number
		}
		out = append(out, to)
	}
	return out
}
