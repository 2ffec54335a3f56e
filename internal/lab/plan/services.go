package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
)

type yamlNode = yaml.Node

// Node ports that a lab hands out; the range is Kubernetes' own.
const (
	firstNodePort = 30000
	lastNodePort  = 32767
)

// service is a Service while it is being planned.
type service struct {
	doc  *document
	spec corev1.ServiceSpec
	out  Service
}

// makeServices gives every Service its addresses, node ports and endpoints.
func (b *builder) makeServices() {
	var all []*service
	for _, d := range b.docs {
		if d.kind != "Service" {
			continue
		}
		var obj corev1.Service
		if err := d.decode(&obj); err != nil {
			b.fault(d, "%w", err)
			continue
		}
		if obj.Spec.Type == corev1.ServiceTypeExternalName {
			b.out.Notes = append(b.out.Notes, fmt.Sprintf("Service %s/%s: the lab has no external names", d.namespace(), d.meta.Name))
			continue
		}
		s := &service{doc: d, spec: obj.Spec, out: Service{Namespace: d.namespace(), Name: d.meta.Name}}
		b.reserve(s)
		all = append(all, s)
	}
	led := b.endpointSlices()
	// What manifests ask for is reserved before anything is handed out.
	slices.SortFunc(all, func(x, y *service) int { return strings.Compare(x.out.ID(), y.out.ID()) })
	for _, s := range all {
		b.address(s)
		b.servicePorts(s)
		s.lead(led[s.out.ID()])
		b.outsideTargets(s)
		b.out.Services = append(b.out.Services, s.out)
	}
}

// given are the addresses that a Service's manifest asks for.
func given(spec corev1.ServiceSpec) []string {
	if len(spec.ClusterIPs) > 0 {
		return spec.ClusterIPs
	}
	if spec.ClusterIP != "" {
		return []string{spec.ClusterIP}
	}
	return nil
}

// reserve takes the addresses and node ports that a manifest asks for.
func (b *builder) reserve(s *service) {
	for _, text := range given(s.spec) {
		if text == corev1.ClusterIPNone {
			continue
		}
		addr, err := netip.ParseAddr(text)
		if err != nil {
			b.fault(s.doc, "spec.clusterIP %q is not an address", text)
			continue
		}
		if addr.Is6() && !b.opts.IPv6 {
			continue
		}
		if !isDNS(s) {
			if err := b.svcPools[index(addr.Is6())].take(addr); err != nil {
				b.fault(s.doc, "spec.clusterIP: %w", err)
			}
		}
		s.out.Addrs = append(s.out.Addrs, addr)
	}
	for _, p := range s.spec.Ports {
		if p.NodePort == 0 {
			continue
		}
		if p.NodePort < firstNodePort || p.NodePort > lastNodePort {
			b.fault(s.doc, "nodePort %d is not in the range %d-%d", p.NodePort, firstNodePort, lastNodePort)
		} else if b.ports[uint16(p.NodePort)] {
			b.fault(s.doc, "nodePort %d is used twice", p.NodePort)
		}
		b.ports[uint16(p.NodePort)] = true
	}
}

func isDNS(s *service) bool {
	return s.out.Namespace == "kube-system" && s.out.Name == "kube-dns"
}

// address gives a Service without addresses one of each family that it wants.
func (b *builder) address(s *service) {
	if len(s.out.Addrs) > 0 || len(given(s.spec)) > 0 {
		return
	}
	if isDNS(s) {
		s.out.Addrs = b.out.DNS
	} else {
		for i, v6 := range families(b.opts.IPv6) {
			if !wants(s.spec, v6) {
				continue
			}
			addr, err := b.svcPools[i].get()
			if err != nil {
				b.fault(s.doc, "%w", err)
				return
			}
			s.out.Addrs = append(s.out.Addrs, addr)
		}
	}
	if len(s.out.Addrs) == 0 {
		b.fault(s.doc, "it wants IPv6 only, and this machine has none")
		return
	}
	list := make([]string, len(s.out.Addrs))
	for i, a := range s.out.Addrs {
		list[i] = fmt.Sprintf("%q", a)
	}
	spec := child(s.doc.root, "spec")
	b.addKey(s.doc, spec, "clusterIP: "+list[0])
	b.addKey(s.doc, spec, "clusterIPs: ["+strings.Join(list, ", ")+"]")
}

// wants says whether a Service gets an address of a family: one of the
// families it names; without any, IPv4, and IPv6 if it asks for two.
func wants(spec corev1.ServiceSpec, v6 bool) bool {
	dual := spec.IPFamilyPolicy != nil && *spec.IPFamilyPolicy != corev1.IPFamilyPolicySingleStack
	if dual {
		return true
	}
	if len(spec.IPFamilies) > 0 {
		return (spec.IPFamilies[0] == corev1.IPv6Protocol) == v6
	}
	return !v6
}
