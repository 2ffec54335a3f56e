package plan

import (
	"net/netip"
	"slices"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
)

// endpointSlices are the EndpointSlices of the manifests, by the Service
// (namespace/name) that they belong to.
func (b *builder) endpointSlices() map[string][]discoveryv1.EndpointSlice {
	out := map[string][]discoveryv1.EndpointSlice{}
	for _, d := range b.docs {
		if d.kind != "EndpointSlice" || !strings.HasPrefix(d.api, "discovery.k8s.io/") {
			continue
		}
		var s discoveryv1.EndpointSlice
		if err := d.decode(&s); err != nil {
			b.fault(d, "%w", err)
			continue
		}
		if name := s.Labels[discoveryv1.LabelServiceName]; name != "" {
			id := d.namespace() + "/" + name
			out[id] = append(out[id], s)
		}
	}
	return out
}

// lead has a Service without a selector lead where its EndpointSlices say, as
// far as they are ready. One with a selector leads to its pods, which the lab
// knows itself.
func (s *service) lead(given []discoveryv1.EndpointSlice) {
	if len(s.spec.Selector) > 0 {
		return
	}
	for _, slice := range given {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && !*e.Conditions.Ready {
				continue
			}
			for _, text := range e.Addresses {
				if addr, err := netip.ParseAddr(text); err == nil {
					s.leadTo(addr, slice.Ports)
				}
			}
		}
	}
}

func (s *service) leadTo(addr netip.Addr, ports []discoveryv1.EndpointPort) {
	if !slices.Contains(s.out.Pods, addr) {
		s.out.Pods = append(s.out.Pods, addr)
	}
	for i := range s.out.Ports {
		to := &s.out.Ports[i]
		for _, p := range ports {
			proto, name := TCP, ""
			if p.Protocol != nil {
				proto = string(*p.Protocol)
			}
			if p.Name != nil {
				name = *p.Name
			}
			if p.Port == nil || name != to.Name || proto != to.Protocol {
				continue
			}
			if end := netip.AddrPortFrom(addr, uint16(*p.Port)); !slices.Contains(to.Endpoints, end) {
				to.Endpoints = append(to.Endpoints, end)
			}
		}
	}
}
