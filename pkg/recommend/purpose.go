package recommend

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// purpose is what a flow is to the cluster, empty where nothing is known.
func (l *labeler) purpose(o *flow.Observed) string {
	switch dst := o.Destination; {
	case l.isDNS(o):
		return purposeDNS
	case slices.Contains(o.Services, "default/kubernetes"),
		o.Protocol == policy.TCP && dst.Kind != flow.PeerWorkload && l.cluster.api[netip.AddrPortFrom(dst.Addr.Unmap(), o.Port)]:
		return PurposeAPI
	case dst.Kind == flow.PeerHost && o.Protocol == policy.TCP && (o.Port == 10250 || o.Port == 10255):
		return purposeKubelet
	case dst.Kind != flow.PeerWorkload && (dst.Addr.String() == "169.254.169.254" || dst.Addr.String() == "fd00:ec2::254"):
		return purposeMetadata
	case l.isMetrics(o):
		return purposeMetrics
	}
	return ""
}

// isDNS says whether a flow asks the cluster's DNS, also at a node-local
// address (S33). DNS goes over TCP when an answer is long.
func (l *labeler) isDNS(o *flow.Observed) bool {
	if o.Protocol != policy.UDP && o.Protocol != policy.TCP {
		return false
	}
	for _, s := range o.Services {
		if slices.Contains(dnsServices[:], s) && (o.Port == 53 || l.dnsPort(s, o.Port)) {
			return true
		}
	}
	if o.Destination.Kind != flow.PeerWorkload {
		return o.Port == 53 && (o.Destination.Kind == flow.PeerHost || o.Destination.Addr.IsLinkLocalUnicast())
	}
	return slices.ContainsFunc(dnsServices[:], func(s string) bool {
		svc := l.service(s)
		return svc != nil && l.selects(svc, o) && (o.Port == 53 || l.leadsTo(svc, o, 53))
	})
}

// dnsPort says whether a DNS Service leads from port 53 to some port.
func (l *labeler) dnsPort(name string, port uint16) bool {
	svc := l.service(name)
	return svc != nil && slices.ContainsFunc(svc.Ports, func(p policy.ServicePort) bool {
		return p.Port == 53 && (p.TargetPort == port || p.TargetName != "")
	})
}

// isMetrics says whether a flow reads metrics, by the name of the port or of the
// Service.
func (l *labeler) isMetrics(o *flow.Observed) bool {
	if o.Protocol != policy.TCP || o.Destination.Kind != flow.PeerWorkload {
		return false
	}
	if slices.ContainsFunc(o.Services, func(s string) bool { return strings.Contains(s, "metrics") }) {
		return true
	}
	return slices.ContainsFunc(l.rp.Endpoints(o.Destination.Workload), func(ep *policy.Endpoint) bool {
		return slices.ContainsFunc(ep.Ports, func(p policy.ContainerPort) bool {
			return p.Protocol == policy.TCP && p.Port == o.Port && strings.Contains(p.Name, "metrics")
		})
	})
}

// service finds a Service by namespace/name.
func (l *labeler) service(name string) *policy.Service {
	ns, n, _ := strings.Cut(name, "/")
	return l.snap.Service(ns, n)
}

// selects says whether a Service selects all pods of a flow's destination.
func (l *labeler) selects(svc *policy.Service, o *flow.Observed) bool {
	if len(svc.Selector) == 0 || svc.Namespace != o.Destination.Workload.Namespace {
		return false
	}
	eps := l.rp.Endpoints(o.Destination.Workload)
	return len(eps) > 0 && !slices.ContainsFunc(eps, func(ep *policy.Endpoint) bool { return !hasLabels(ep, svc.Selector) })
}

// leadsTo says whether a Service leads to all pods of a flow's destination at
// its port, from the Service's port of that number or any (0).
func (l *labeler) leadsTo(svc *policy.Service, o *flow.Observed, port uint16) bool {
	return l.selects(svc, o) && !slices.ContainsFunc(l.rp.Endpoints(o.Destination.Workload), func(ep *policy.Endpoint) bool {
		return !slices.ContainsFunc(svc.Ports, func(p policy.ServicePort) bool {
			target := p.TargetPortOf(ep)
			if target == 0 && p.TargetName == "" {
				target = p.Port
			}
			return p.Protocol == o.Protocol && (port == 0 || p.Port == port) && target == o.Port
		})
	})
}

func hasLabels(ep *policy.Endpoint, want map[string]string) bool {
	for k, v := range want {
		if got, ok := ep.Labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// servedAt is the Service that an address which is no pod's serves: one on the
// node (S33), or the API.
func (l *labeler) servedAt(addr netip.Addr, proto policy.Protocol, port uint16) *policy.ServiceRef {
	for _, s := range l.cluster.services {
		if !slices.Contains(s.Local, addr) && (s.Namespace != "default" || s.Name != "kubernetes") {
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
