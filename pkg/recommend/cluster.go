package recommend

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// What traffic is to a cluster.
const (
	purposeDNS = "cluster DNS"
	// PurposeAPI is the Purpose of a Rule for the API server.
	PurposeAPI      = "Kubernetes API"
	purposeKubelet  = "kubelet"
	purposeMetrics  = "metrics"
	purposeMetadata = "cloud metadata"
)

// dnsServices are the Services that serve cluster DNS.
var dnsServices = [...]string{"kube-system/kube-dns", "kube-system/coredns", "kube-system/rke2-coredns-rke2-coredns", "openshift-dns/dns-default"}

// sharedNet is for carriers' own use, no part of the internet (RFC 6598).
var sharedNet = netip.MustParsePrefix("100.64.0.0/10")

// clusterNets are the addresses that mean something to the cluster.
type clusterNets struct {
	services []*policy.Service
	pods     []netip.Prefix
	nodes    map[netip.Addr]string
	apiNodes map[string]bool // those that run an API server
	// api are where API servers are: backends of Service default/kubernetes.
	api map[netip.AddrPort]bool
	// serviceAddrs are the Services' own addresses, those left out that serve
	// on the node (S33).
	serviceAddrs map[netip.Addr]*policy.Service
}

func newClusterNets(s *policy.Snapshot) *clusterNets {
	c := &clusterNets{
		services: s.Services, nodes: map[netip.Addr]string{}, apiNodes: map[string]bool{},
		api: map[netip.AddrPort]bool{}, serviceAddrs: map[netip.Addr]*policy.Service{},
	}
	for _, n := range s.Nodes {
		c.pods = append(c.pods, n.PodCIDRs...)
		for _, a := range n.Addrs {
			c.nodes[a] = n.Name
		}
	}
	for _, svc := range s.Services {
		for _, a := range svc.Addrs {
			if !slices.Contains(svc.Local, a) {
				c.serviceAddrs[a] = svc
			}
		}
	}
	if api := s.Service("default", "kubernetes"); api != nil {
		for _, b := range api.Backends {
			c.apiNodes[c.nodes[b.Addr]] = true
			for _, p := range b.Ports {
				c.api[netip.AddrPortFrom(b.Addr, p.Port)] = true
			}
		}
		delete(c.apiNodes, "")
	}
	return c
}

// podNet says whether an address is of a network set aside for pods.
func (c *clusterNets) podNet(a netip.Addr) bool {
	return slices.ContainsFunc(c.pods, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// nodeAt is the node that has an address, empty if none has.
func (c *clusterNets) nodeAt(a netip.Addr) string { return c.nodes[a.Unmap()] }

// untranslated is the Service whose own address a flow went to: nothing was
// behind it, else the address would be a pod's.
func (c *clusterNets) untranslated(o *flow.Observed) string {
	if svc := c.serviceAddrs[o.Destination.Addr.Unmap()]; svc != nil && o.Destination.Kind != flow.PeerWorkload {
		return svc.Namespace + "/" + svc.Name
	}
	return ""
}
