package plan

import (
	"fmt"
	"net/netip"

	corev1 "k8s.io/api/core/v1"
)

// servicePorts works out where each port leads.
func (b *builder) servicePorts(s *service) {
	ports := child(child(s.doc.root, "spec"), "ports")
	wantsNodePort := s.spec.Type == corev1.ServiceTypeNodePort || s.spec.Type == corev1.ServiceTypeLoadBalancer
	var backends []*madePod
	for i := range b.pods {
		if selects(s, &b.pods[i]) {
			backends = append(backends, &b.pods[i])
			s.out.Pods = append(s.out.Pods, b.pods[i].Addrs...)
		}
	}
	for i, p := range s.spec.Ports {
		out := ServicePort{Name: p.Name, Protocol: string(p.Protocol), Port: uint16(p.Port), NodePort: uint16(p.NodePort)}
		if out.Protocol == "" {
			out.Protocol = TCP
		}
		if p.Port < 1 || p.Port > 65535 {
			b.fault(s.doc, "port %d is not in the range 1-65535", p.Port)
			continue
		}
		if wantsNodePort && out.NodePort == 0 {
			out.NodePort = b.freeNodePort()
			b.addKey(s.doc, ports.Content[i], fmt.Sprintf("nodePort: %d", out.NodePort))
		}
		for _, pod := range backends {
			port, ok := targetPort(p, out.Protocol, pod.Ports)
			if !ok {
				continue
			}
			for _, a := range pod.Addrs {
				out.Endpoints = append(out.Endpoints, netip.AddrPortFrom(a, port))
			}
		}
		s.out.Ports = append(s.out.Ports, out)
	}
}

func selects(s *service, p *madePod) bool {
	if len(s.spec.Selector) == 0 || p.Namespace != s.out.Namespace {
		return false
	}
	for k, v := range s.spec.Selector {
		if p.owner.labels[k] != v {
			return false
		}
	}
	return true
}

func targetPort(p corev1.ServicePort, proto string, ports []Port) (uint16, bool) {
	if name := p.TargetPort.StrVal; name != "" {
		for _, c := range ports {
			if c.Name == name && c.Protocol == proto {
				return c.Port, true
			}
		}
		return 0, false
	}
	if n := p.TargetPort.IntValue(); n > 0 {
		return uint16(n), true
	}
	return uint16(p.Port), true
}

func (b *builder) freeNodePort() uint16 {
	for p := uint16(firstNodePort); p <= lastNodePort; p++ {
		if !b.ports[p] {
			b.ports[p] = true
			return p
		}
	}
	return 0
}

// outsideTargets adds a Service's node ports to what the outside client does.
func (b *builder) outsideTargets(s *service) {
	value, ok := s.doc.meta.Annotations[AnnotationOutside]
	if !ok {
		return
	}
	every, err := interval(value)
	if err != nil {
		b.fault(s.doc, "annotation %s: %w", AnnotationOutside, err)
		return
	}
	found := false
	for _, p := range s.out.Ports {
		if p.NodePort == 0 {
			continue
		}
		found = true
		t := Target{Host: b.out.Node.Addrs[0].String(), Protocol: p.Protocol, Port: p.NodePort, Every: every}
		t.Label = fmt.Sprintf("%s:%d", s.out.ID(), p.NodePort)
		b.out.Outside.Targets = append(b.out.Outside.Targets, t)
	}
	if !found {
		b.fault(s.doc, "annotation %s: the Service has no node port; give it type: NodePort", AnnotationOutside)
	}
}
