package probe

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Pods are the pods of a snapshot that can be probed: those with an address that
// are not about to end.
func Pods(s *policy.Snapshot) []lab.PodStatus {
	var out []lab.PodStatus
	for _, ep := range s.Endpoints {
		if len(ep.Addrs) == 0 || ep.Terminating {
			continue
		}
		p := lab.PodStatus{
			Namespace: ep.Namespace, Name: ep.Name, Addrs: ep.Addrs, Running: true,
			Workload: plan.Workload{Kind: string(ep.Workload.Kind), Name: ep.Workload.Name},
		}
		for _, c := range ep.Ports {
			p.Ports = append(p.Ports, plan.Port{Name: c.Name, Protocol: c.Protocol.String(), Port: c.Port})
		}
		out = append(out, p)
	}
	return out
}

// Services are a snapshot's Services with the pods behind each port.
func Services(s *policy.Snapshot) []plan.Service {
	out := []plan.Service{}
	for _, svc := range s.Services {
		one := plan.Service{Namespace: svc.Namespace, Name: svc.Name, Addrs: svc.Addrs}
		behind := s.ServiceEndpoints(svc)
		for i := range svc.Ports {
			p := &svc.Ports[i]
			port := plan.ServicePort{Name: p.Name, Protocol: p.Protocol.String(), Port: p.Port, NodePort: p.NodePort}
			for _, ep := range behind {
				if target := p.TargetPortOf(ep); target != 0 {
					for _, a := range ep.Addrs {
						port.Endpoints = append(port.Endpoints, netip.AddrPortFrom(a, target))
					}
				}
			}
			port.Endpoints = append(port.Endpoints, listed(svc, p)...)
			slices.SortFunc(port.Endpoints, netip.AddrPort.Compare)
			port.Endpoints = slices.Compact(port.Endpoints)
			one.Ports = append(one.Ports, port)
		}
		out = append(out, one)
	}
	return out
}

// listed are the backends of a port that EndpointSlices list.
func listed(svc *policy.Service, p *policy.ServicePort) []netip.AddrPort {
	var out []netip.AddrPort
	for _, b := range svc.Backends {
		for _, c := range b.Ports {
			if c.Name == p.Name && c.Protocol == p.Protocol {
				out = append(out, netip.AddrPortFrom(b.Addr, c.Port))
			}
		}
	}
	return out
}
