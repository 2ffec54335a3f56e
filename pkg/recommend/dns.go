package recommend

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// dnsServices are the Services that serve cluster DNS.
var dnsServices = [...]string{"kube-system/kube-dns", "kube-system/coredns", "kube-system/rke2-coredns-rke2-coredns", "openshift-dns/dns-default"}

// isDNS says whether a flow asks the cluster's DNS, also at a node-local
// address (S33). DNS goes over TCP when an answer is long.
func isDNS(o *flow.Observed, services []*policy.Service, eps []*policy.Endpoint) bool {
	if o.Protocol != policy.UDP && o.Protocol != policy.TCP {
		return false
	}
	for _, s := range o.Services {
		if slices.Contains(dnsServices[:], s) {
			return true
		}
	}
	if o.Destination.Kind != flow.PeerWorkload {
		return o.Port == 53 && (o.Destination.Kind == flow.PeerHost || o.Destination.Addr.IsLinkLocalUnicast())
	}
	for _, s := range services {
		if s.Namespace != o.Destination.Workload.Namespace || !slices.Contains(dnsServices[:], s.Namespace+"/"+s.Name) || len(s.Selector) == 0 {
			continue
		}
		if slices.ContainsFunc(eps, func(ep *policy.Endpoint) bool { return hasLabels(ep, s.Selector) }) && o.Port == targetPort(s, o.Port) {
			return true
		}
	}
	return false
}

func hasLabels(ep *policy.Endpoint, want map[string]string) bool {
	for k, v := range want {
		if got, ok := ep.Labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// targetPort is port if the Service s leads to it, else 0.
func targetPort(s *policy.Service, port uint16) uint16 {
	for _, p := range s.Ports {
		if p.TargetPort == port || p.TargetPort == 0 && p.TargetName == "" && p.Port == port || p.TargetName != "" && port == 53 {
			return port
		}
	}
	return 0
}

// servedAt is the Service that an address on the node stands for (S33).
func (l *labeler) servedAt(addr netip.Addr, proto policy.Protocol, port uint16) *policy.ServiceRef {
	for _, s := range l.services {
		if !slices.Contains(s.Local, addr) {
			continue
		}
		for _, b := range s.Backends {
			if b.Addr == addr && slices.ContainsFunc(b.Ports, func(p policy.ContainerPort) bool { return p.Protocol == proto && p.Port == port }) {
				return &policy.ServiceRef{Namespace: s.Namespace, Name: s.Name}
			}
		}
	}
	return nil
}
