package stage

import (
	"fmt"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// kubeletPort is where a kubelet serves its pods' metrics.
const kubeletPort = 10250

// metrics: Prometheus collects them from pods that say so, metrics-server from
// the kubelets.
func (c *preflight) metrics() {
	var collectors, servers []*policy.Endpoint
	for _, ep := range oneOfEach(c.m, c.snap.Endpoints) {
		switch {
		case labelled(ep, "prometheus", "app.kubernetes.io/name", "app", "k8s-app"):
			collectors = append(collectors, ep)
		case labelled(ep, "metrics-server", "app.kubernetes.io/name", "app", "k8s-app"):
			servers = append(servers, ep)
		}
	}
	if len(collectors) == 0 && len(c.facts.Scrapes) > 0 {
		c.report.NotChecked = append(c.report.NotChecked, "metrics: no pod is known as Prometheus by its labels (app or app.kubernetes.io/name)")
	}
	var needs []need
	for _, s := range c.facts.Scrapes {
		for _, t := range c.scraped(s) {
			for _, src := range collectors {
				needs = append(needs, c.scrape(s, src, t))
			}
		}
	}
	for _, src := range servers {
		for _, n := range c.snap.Nodes {
			for _, a := range n.Addrs {
				needs = append(needs, c.kubelet(src, n.Name, a))
			}
		}
	}
	c.check(ClassMetrics, needs)
}

func labelled(ep *policy.Endpoint, value string, names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return ep.Labels[n] == value })
}

// scraped are where metrics are collected from, in pods: what is outside of them
// no policy judges.
func (c *preflight) scraped(s Scrape) []target {
	var out []target
	if s.Service != "" {
		svc := c.snap.Service(s.Namespace, s.Service)
		for i := range portsOf(svc) {
			if p := &svc.Ports[i]; p.Name == s.PortName {
				out = append(out, slices.DeleteFunc(c.targets(svc, p), func(t target) bool { return t.Endpoint == nil })...)
			}
		}
		return out
	}
	var pods []*policy.Endpoint
	for _, ep := range c.snap.EndpointsIn(s.Namespace) {
		if s.Pod != "" && s.Pod != ep.Name && s.Pod != ep.Workload.Name || s.Selector != nil && !s.Selector.Matches(labels.Set(ep.Labels)) {
			continue
		}
		pods = append(pods, ep)
	}
	for _, ep := range oneOfEach(c.m, pods) {
		if s.Port != 0 {
			out = append(out, target{tier.Peer{Endpoint: ep}, policy.TCP, s.Port})
			continue
		}
		for _, p := range ep.Ports {
			if p.Protocol == policy.TCP && (s.PortName == "" || p.Name == s.PortName) {
				out = append(out, target{tier.Peer{Endpoint: ep}, policy.TCP, p.Port})
			}
		}
	}
	return out
}

// portsOf are a Service's ports; none of one that is not there.
func portsOf(svc *policy.Service) []policy.ServicePort {
	if svc == nil {
		return nil
	}
	return svc.Ports
}

func (c *preflight) scrape(s Scrape, src *policy.Endpoint, t target) need {
	n := need{class: ClassMetrics, who: s.Who, refuses: c.facts.unknown()}
	n.conn = tier.Conn{Source: tier.Peer{Endpoint: src}, Destination: t.Peer, Protocol: t.protocol, Port: t.port}
	n.rule = between(src, t.Endpoint, t.protocol, t.port)
	return n
}

func (c *preflight) kubelet(src *policy.Endpoint, node string, a netip.Addr) need {
	n := need{class: ClassMetrics, who: "metrics of kubelet on " + node, refuses: c.facts.unknown()}
	n.conn = tier.Conn{Source: tier.Peer{Endpoint: src}, Destination: tier.Peer{Addr: a}, Protocol: policy.TCP, Port: kubeletPort}
	n.rule[policy.Egress] = fmt.Sprintf("{action: Allow, protocol: TCP, destination: {nets: [%s], ports: [%d]}}", netip.PrefixFrom(a, a.BitLen()), kubeletPort)
	return n
}
