package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// open finds the doors: the port that is meant at each of the destinations.
func (q *explainQuestion) open(s *policy.Snapshot, t connectivity.Target) error {
	try := fmt.Sprintf("netpol explain %s %s:%s", q.src.Name, q.dst.Name, q.somePort(t))
	svc := q.dst.Service
	if q.dst.Kind == connectivity.EndAddress {
		svc = serviceAt(s, q.dst)
	}
	if svc != nil {
		if err := q.openService(s, svc, t); err != nil {
			return cli.Usage(try, "%s: %s", q.dst.Name, err)
		}
		return nil
	}
	for _, peer := range q.dst.Peers {
		var declared []policy.ContainerPort
		if peer.Endpoint != nil {
			declared = peer.Endpoint.Ports
		}
		proto, port, err := t.Resolve(declared)
		if err != nil {
			return cli.Usage(try, "%s: %s", q.dst.Name, err)
		}
		q.doors = append(q.doors, door{peer, proto, port})
	}
	if len(q.doors) == 0 {
		return cli.Usage("", "%s has no addresses", q.dst.Name)
	}
	return nil
}

// somePort is a port to propose: the first that the destination declares for
// the protocol, if one was typed.
func (q *explainQuestion) somePort(t connectivity.Target) string {
	if svc := q.dst.Service; svc != nil && len(svc.Ports) > 0 {
		return fmt.Sprintf("%d/%s", svc.Ports[0].Port, strings.ToLower(svc.Ports[0].Protocol.String()))
	}
	for _, p := range q.dst.Peers {
		if p.Endpoint == nil {
			continue
		}
		for _, d := range p.Endpoint.Ports {
			if t.Protocol == 0 || t.Protocol == d.Protocol {
				return fmt.Sprintf("%d/%s", d.Port, strings.ToLower(d.Protocol.String()))
			}
		}
	}
	if t.Protocol != 0 {
		return "80/" + strings.ToLower(t.Protocol.String())
	}
	return "80"
}

// serviceAt is the Service that has an address, nil if there is none.
func serviceAt(s *policy.Snapshot, e *connectivity.End) *policy.Service {
	for _, svc := range s.Services {
		if slices.Contains(svc.Addrs, e.Peers[0].Addr) {
			return svc
		}
	}
	return nil
}

// openService translates, as the node does before policies are asked (S22).
func (q *explainQuestion) openService(s *policy.Snapshot, svc *policy.Service, t connectivity.Target) error {
	ports := make([]policy.ContainerPort, len(svc.Ports))
	for i, p := range svc.Ports {
		ports[i] = policy.ContainerPort{Name: p.Name, Protocol: p.Protocol, Port: p.Port}
	}
	proto, number, err := t.Resolve(ports)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(svc.Ports, func(p policy.ServicePort) bool { return p.Protocol == proto && p.Port == number })
	if i < 0 {
		return fmt.Errorf("it has no port %s", connectivity.PortText(proto, number))
	}
	var to []string
	for _, ep := range s.ServiceEndpoints(svc) {
		if port := svc.Ports[i].TargetPortOf(ep); port != 0 {
			q.doors = append(q.doors, door{tier.Peer{Endpoint: ep}, proto, port})
			to = append(to, ep.Workload.String()+" "+connectivity.PortText(proto, port))
		}
	}
	for _, b := range svc.Backends {
		for _, p := range b.Ports {
			if p.Protocol == proto && (p.Name == svc.Ports[i].Name || len(svc.Ports) == 1) {
				q.doors = append(q.doors, door{tier.Peer{Addr: b.Addr}, proto, p.Port})
				to = append(to, b.Addr.String()+" "+connectivity.PortText(proto, p.Port))
			}
		}
	}
	if len(q.doors) == 0 {
		return fmt.Errorf("nothing is behind its port %s", connectivity.PortText(proto, number))
	}
	slices.Sort(to)
	q.notes = append(q.notes, fmt.Sprintf("svc/%s/%s port %s is judged after translation, as %s",
		svc.Namespace, svc.Name, connectivity.PortText(proto, number), strings.Join(slices.Compact(to), ", ")))
	return nil
}
