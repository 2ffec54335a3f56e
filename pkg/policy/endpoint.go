package policy

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// Namespace is a Kubernetes namespace; Labels hold S15's as well.
type Namespace struct {
	Name   string
	Labels selector.Labels
	Origin Origin
}

// Workload is what runs pods, for people: the top-most owner.
type Workload struct {
	Kind      Kind // Deployment, StatefulSet, …; Pod for a pod without an owner
	Namespace string
	Name      string
}

// String is namespace/name, as users type a workload.
func (w Workload) String() string { return w.Namespace + "/" + w.Name }

// Endpoint is a pod as policies see it. Host-network and finished pods are
// not endpoints (S12).
type Endpoint struct {
	Namespace string
	Name      string
	Workload  Workload
	// Labels are the pod's own and S15's (projectcalico.org/namespace,
	// /orchestrator, /serviceaccount).
	Labels selector.Labels
	Node   string
	// Addrs are the pod's addresses; empty for a pod that has not started or
	// that was made up from a workload's template.
	Addrs []netip.Addr
	// Ports are the ports that the containers declare.
	Ports []ContainerPort
	// Created orders pods that claim one address (S35), Unix nanoseconds.
	Created     int64
	Terminating bool
	Origin      Origin
}

// ID is namespace/name.
func (e *Endpoint) ID() string { return e.Namespace + "/" + e.Name }

// StandsForAll says whether e is no pod, but what a manifest says of a workload's
// pods, however many there are: it stands for two of them too.
func (e *Endpoint) StandsForAll() bool {
	return len(e.Addrs) == 0 && e.Workload.Kind != KindPod && e.Name == e.Workload.Name
}

// SamePod says whether both are one pod, which always reaches itself (S32). What
// stands for a workload may have the name of another one's.
func (e *Endpoint) SamePod(o *Endpoint) bool {
	return !e.StandsForAll() && (e == o || e.ID() == o.ID() && e.Workload == o.Workload)
}

// ContainerPort is a port that a container declares.
type ContainerPort struct {
	Name     string
	Protocol Protocol
	Port     uint16
}

// Service is a Kubernetes Service.
type Service struct {
	Namespace string
	Name      string
	// Addrs are the cluster addresses; empty for a headless one.
	Addrs []netip.Addr
	// Selector holds the pod labels that the Service's endpoints carry.
	Selector map[string]string
	Ports    []ServicePort
	// Backends are endpoints of the Service that Selector does not tell:
	// addresses from EndpointSlices (or Endpoints) that are no pod's that it
	// selects.
	Backends []Backend
	// Local are addresses that serve the Service on every node, whatever its
	// own are: those of a node-local DNS cache (S33). They are among Backends.
	Local  []netip.Addr
	Origin Origin
}

// Node is a machine of the cluster; its addresses are no pods' (S34).
type Node struct {
	Name   string
	Labels selector.Labels
	Addrs  []netip.Addr
	// PodCIDRs are the networks that the cluster has set aside for the node's
	// pods; whether its CNI keeps to them is another matter.
	PodCIDRs []netip.Prefix
	// Created is since when it has been in the cluster, Unix nanoseconds; 0 where
	// nobody says.
	Created int64
	Origin  Origin
}

// Backend is an address that a Service leads to, with its ports there.
type Backend struct {
	Addr  netip.Addr
	Ports []ContainerPort
}

// ServicePort is one port of a Service.
type ServicePort struct {
	Name     string
	Protocol Protocol
	Port     uint16
	// TargetPort is a number, or TargetName names a container port.
	TargetPort uint16
	TargetName string
	NodePort   uint16
}

// NetworkSet is a named set of networks with labels: a peer like an endpoint
// (S18). Namespace is empty for a GlobalNetworkSet.
type NetworkSet struct {
	Key
	// Labels are its own and, for a NetworkSet, S15's
	// (projectcalico.org/namespace); both kinds have projectcalico.org/name.
	Labels selector.Labels
	Nets   []netip.Prefix // sorted, without duplicates
	Origin Origin
}

// HostEndpoint is an interface of a node (S30).
type HostEndpoint struct {
	Name      string
	Node      string
	Interface string // "*": all of them; empty: those with ExpectedAddrs
	Labels    selector.Labels
	Addrs     []netip.Addr // expectedIPs
	Profiles  []string
	Ports     []ContainerPort
	Origin    Origin
}

// ServiceAccount is a Kubernetes service account; pods name it by the label
// projectcalico.org/serviceaccount.
type ServiceAccount struct {
	Namespace string
	Name      string
	Labels    selector.Labels
	Origin    Origin
}
