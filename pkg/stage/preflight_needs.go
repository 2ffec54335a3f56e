package stage

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// dnsServices are the Services that serve cluster DNS, by namespace and name.
var dnsServices = [...][2]string{
	{"kube-system", "kube-dns"}, {"kube-system", "coredns"}, {"kube-system", "rke2-coredns-rke2-coredns"}, {"openshift-dns", "dns-default"},
}

// dns: every pod asks the cluster's DNS, at the node-local cache where there is
// one (S33). Where traffic was looked at and a workload was not seen to ask,
// that is a warning: if it was, its flows are judged as well.
func (c *preflight) dns() {
	var needs []need
	for _, id := range dnsServices {
		svc := c.snap.Service(id[0], id[1])
		if svc == nil {
			continue
		}
		servers := c.snap.ServiceEndpoints(svc)
		for _, ep := range oneOfEach(c.m, c.snap.Endpoints) {
			if slices.Contains(servers, ep) {
				continue // it asks servers outside
			}
			for i := range svc.Ports {
				if svc.Ports[i].Port != 53 {
					continue
				}
				for _, t := range c.targets(svc, &svc.Ports[i]) {
					needs = append(needs, c.toService(ClassDNS, "names of cluster DNS", ep, svc, t))
				}
			}
		}
		needs = append(needs, c.caches(svc)...)
	}
	c.check(ClassDNS, needs)
}

// caches: the caches on the nodes ask the DNS servers themselves, with their
// nodes' addresses.
func (c *preflight) caches(svc *policy.Service) []need {
	if len(svc.Local) == 0 {
		return nil
	}
	var needs []need
	for i := range svc.Ports {
		p := &svc.Ports[i]
		for _, dst := range c.snap.ServiceEndpoints(svc) {
			port := p.TargetPortOf(dst)
			if p.Port != 53 || port == 0 {
				continue
			}
			for _, node := range c.snap.Nodes {
				for _, a := range node.Addrs {
					if len(dst.Addrs) > 0 && !slices.ContainsFunc(dst.Addrs, func(b netip.Addr) bool { return a.Is4() == b.Is4() }) {
						continue
					}
					n := need{class: ClassDNS, who: "node-local DNS cache on " + node.Name, refuses: c.facts.unknown(), fromHost: node.Name == dst.Node}
					n.conn = tier.Conn{Source: tier.Peer{Addr: a}, Destination: tier.Peer{Endpoint: dst}, Protocol: p.Protocol, Port: port}
					n.rule[policy.Ingress] = fmt.Sprintf("{action: Allow, protocol: %s, source: {nets: [%s]}, destination: {ports: [%d]}}", p.Protocol, netip.PrefixFrom(a, a.BitLen()), port)
					needs = append(needs, n)
				}
			}
		}
	}
	return needs
}

// apiServer: a pod with a service account of its own is there to talk to the API
// server; others have no rights there.
func (c *preflight) apiServer() {
	var needs []need
	if svc := c.snap.Service("default", "kubernetes"); svc != nil {
		for _, ep := range oneOfEach(c.m, c.snap.Endpoints) {
			account := ep.Labels["projectcalico.org/serviceaccount"]
			if account == "" || account == "default" {
				continue
			}
			for i := range svc.Ports {
				for _, t := range c.targets(svc, &svc.Ports[i]) {
					needs = append(needs, c.toService(ClassAPIServer, "service account "+account, ep, svc, t))
				}
			}
		}
	}
	c.check(ClassAPIServer, needs)
}

// toService is what a pod needs of a Service.
func (c *preflight) toService(class Class, who string, ep *policy.Endpoint, svc *policy.Service, t target) need {
	n := need{class: class, who: who, refuses: c.facts.unknown()}
	n.conn = tier.Conn{Source: tier.Peer{Endpoint: ep}, Destination: t.Peer, Protocol: t.protocol, Port: t.port}
	n.rule[policy.Egress] = fmt.Sprintf("{action: Allow, destination: {services: {namespace: %s, name: %s}}}", svc.Namespace, svc.Name)
	n.rule[policy.Ingress] = fmt.Sprintf("{action: Allow, protocol: %s, source: {namespaceSelector: all()}, destination: {ports: [%d]}}", t.protocol, t.port)
	return n
}

// target is where a port of a Service leads to.
type target struct {
	tier.Peer
	protocol policy.Protocol
	port     uint16
}

// targets are where a Service's port leads to now: its pods, one of those that
// policies can't tell apart, and the addresses behind it. With a node-local
// cache it is that alone.
func (c *preflight) targets(svc *policy.Service, p *policy.ServicePort) []target {
	var out []target
	if len(svc.Local) == 0 {
		for _, ep := range oneOfEach(c.m, c.snap.ServiceEndpoints(svc)) {
			if port := p.TargetPortOf(ep); port != 0 {
				out = append(out, target{tier.Peer{Endpoint: ep}, p.Protocol, port})
			}
		}
	}
	for _, b := range svc.Backends {
		if len(svc.Local) > 0 && !slices.Contains(svc.Local, b.Addr) {
			continue
		}
		for _, bp := range b.Ports {
			if bp.Name == p.Name && bp.Protocol == p.Protocol {
				out = append(out, target{tier.Peer{Addr: b.Addr}, bp.Protocol, bp.Port})
			}
		}
	}
	return out
}

// probes: kubelet's come from the pod's own node and are always allowed (S12).
func (c *preflight) probes() {
	c.report.Checks = append(c.report.Checks, Check{Class: ClassProbes, Checked: len(c.snap.Endpoints)})
}

// calls: the API server calls webhooks and the servers of aggregated APIs from
// the addresses of the Service kubernetes.
func (c *preflight) calls() {
	var needs []need
	var sources []netip.Addr
	if svc := c.snap.Service("default", "kubernetes"); svc != nil {
		for _, b := range svc.Backends {
			sources = append(sources, b.Addr)
		}
	}
	if len(sources) == 0 && len(c.facts.Calls) > 0 {
		c.report.NotChecked = append(c.report.NotChecked, "webhooks: the API server's address is not known (Service default/kubernetes has no endpoints)")
	}
	for _, call := range c.facts.Calls {
		svc := c.snap.Service(call.Namespace, call.Service)
		if svc == nil {
			continue
		}
		for i := range svc.Ports {
			if svc.Ports[i].Port != call.Port {
				continue
			}
			for _, t := range c.targets(svc, &svc.Ports[i]) {
				needs = append(needs, c.called(call, t, sources)...)
			}
		}
	}
	c.check(ClassWebhooks, needs)
}

func (c *preflight) called(call Call, t target, sources []netip.Addr) []need {
	var out []need
	for _, a := range sources {
		n := need{class: ClassWebhooks, who: call.Who, refuses: true, fromHost: t.Endpoint != nil && nodeAt(c.snap, a) != "" && nodeAt(c.snap, a) == t.Endpoint.Node}
		n.conn = tier.Conn{Source: tier.Peer{Addr: a}, Destination: t.Peer, Protocol: t.protocol, Port: t.port}
		n.rule[policy.Ingress] = fmt.Sprintf("{action: Allow, protocol: %s, source: {services: {namespace: default, name: kubernetes}}, destination: {ports: [%d]}}", t.protocol, t.port)
		out = append(out, n)
	}
	return out
}
