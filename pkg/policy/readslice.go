package policy

import (
	"cmp"
	"net/netip"
	"slices"
)

// Slice holds endpoints of a Service, as an EndpointSlice or Endpoints tells
// them; a Snapshot has them as Service.Backends.
type Slice struct {
	Key
	Service  string // in the Slice's namespace
	Backends []Backend
	Origin   Origin
}

// labelService names the Service that an EndpointSlice belongs to.
const labelService = "kubernetes.io/service-name"

// readEndpointSlice reads a discovery.k8s.io/v1 EndpointSlice. Whether an
// endpoint is ready is ignored (S20). Like of pods, what could be read is kept.
func readEndpointSlice(r *reading) any {
	s := &Slice{Key: r.key, Origin: r.origin(r.root.line, r.root.col)}
	s.Service = r.dec.shared.str(textOf(r.root.at("metadata", "labels", labelService)))
	if t := r.root.get("addressType"); t != nil && t.text == "FQDN" {
		return s
	}
	ports := r.slicePorts(r.root.get("ports"))
	endpoints := r.root.get("endpoints")
	for i := range items(endpoints) {
		addrs := endpoints.kids[i].get("addresses")
		for j := range items(addrs) {
			s.add(r.addr(nil, &addrs.kids[j].node), ports)
		}
	}
	s.Backends = mergeBackends(s.Backends)
	return s
}

// readEndpoints reads a v1 Endpoints, which is named after its Service.
func readEndpoints(r *reading) any {
	s := &Slice{Key: r.key, Service: r.key.Name, Origin: r.origin(r.root.line, r.root.col)}
	subsets := r.root.get("subsets")
	for i := range items(subsets) {
		subset := &subsets.kids[i].node
		ports := r.slicePorts(subset.get("ports"))
		for _, field := range []string{"addresses", "notReadyAddresses"} {
			list := subset.get(field)
			for j := range items(list) {
				s.add(r.addr(nil, list.kids[j].node.get("ip")), ports)
			}
		}
	}
	s.Backends = mergeBackends(s.Backends)
	return s
}

func (s *Slice) add(addrs []netip.Addr, ports []ContainerPort) {
	for _, a := range addrs {
		s.Backends = append(s.Backends, Backend{Addr: a, Ports: ports})
	}
}

func (r *reading) slicePorts(list *node) []ContainerPort {
	var out []ContainerPort
	for i := range items(list) {
		n := &list.kids[i].node
		port := r.portNumber(n.get("port"))
		if port != 0 {
			out = append(out, ContainerPort{Name: r.dec.shared.str(textOf(n.get("name"))), Protocol: r.protocolOr(n, TCP), Port: port})
		}
	}
	return sortPorts(out)
}

// mergeBackends sorts backends by address and makes one of those with one
// address. Lists of ports that several share are not changed.
func mergeBackends(list []Backend) []Backend {
	slices.SortStableFunc(list, func(a, b Backend) int { return a.Addr.Compare(b.Addr) })
	out := list[:0]
	for _, b := range list {
		if last := len(out) - 1; last >= 0 && out[last].Addr == b.Addr {
			out[last].Ports = joinPorts(out[last].Ports, b.Ports)
		} else {
			out = append(out, b)
		}
	}
	return out
}

// joinPorts joins two sorted lists.
func joinPorts(a, b []ContainerPort) []ContainerPort {
	if slices.Equal(a, b) {
		return a
	}
	return sortPorts(slices.Concat(a, b))
}

func sortPorts(list []ContainerPort) []ContainerPort {
	slices.SortFunc(list, func(a, b ContainerPort) int {
		return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Name, b.Name))
	})
	return slices.Compact(list)
}
