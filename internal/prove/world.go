// Package prove holds what netpol is proved with: random small worlds of
// everything that a verdict depends on, and an oracle that judges connections
// in them.
//
// The oracle is written from the text of the policy semantics (S1 to S28)
// alone: nested loops over plain structs, no index, no cache, and a selector
// evaluation of its own. It shares no code with the packages that it checks,
// only the words for an answer (policy.Hit). Whoever reads it next to the
// semantics should find the same sentences.
//
// It is test support: nothing in the product imports it.
package prove

import (
	"fmt"
	"net/netip"
)

// World is everything that a verdict depends on, as a user would say it.
type World struct {
	Namespaces    []*Namespace
	Accounts      []*Account
	Pods          []*Pod
	Services      []*Service
	Sets          []*Set
	HostEndpoints []*HostEndpoint
	Tiers         []*Tier
	Policies      []*Policy
}

// GoString keeps failure reports short: they print the manifests.
func (w *World) GoString() string {
	return fmt.Sprintf("a world of %d namespaces, %d pods, %d tiers and %d policies",
		len(w.Namespaces), len(w.Pods), len(w.Tiers), len(w.Policies))
}

// Namespace has the labels that its manifest gives; S15's come on top.
type Namespace struct {
	Name   string
	Labels map[string]string
}

// Account is a service account that is written down. Pods may name one that
// is not: then it has no labels.
type Account struct {
	Namespace, Name string
	Labels          map[string]string
}

// Pod is a pod. A pod on the host network or one that has finished is no
// endpoint (S12): its address is nobody's.
type Pod struct {
	Namespace      string
	Name           string
	Labels         map[string]string
	ServiceAccount string
	Node           string
	Addrs          []netip.Addr
	HostNetwork    bool
	Finished       bool
	Containers     []Container
	// Created is in seconds after some moment, Terminating says that the pod
	// is on its way out: both matter where two pods claim one address (S35).
	Created     int
	Terminating bool
}

// ID is namespace/name.
func (p *Pod) ID() string { return p.Namespace + "/" + p.Name }

// Endpoint says whether policies see the pod (S12).
func (p *Pod) Endpoint() bool { return !p.HostNetwork && !p.Finished }

// Container is one container of a pod with the ports that it declares.
type Container struct {
	Role  Role
	Ports []ContainerPort
}

// Role is what a container is in its pod.
type Role string

// The roles. What runs beside the others is a sidecar; an init container is
// gone before the others start, so that its ports are nobody's (S21).
const (
	RoleMain    Role = "main"
	RoleSidecar Role = "sidecar"
	RoleInit    Role = "init"
)

// ContainerPort is a declared port. Protocol "" is TCP.
type ContainerPort struct {
	Name     string
	Protocol string
	Number   int
}

// Service is a Kubernetes Service: its endpoints are the pods that Selector
// matches, and what Slices say.
type Service struct {
	Namespace, Name string
	Selector        map[string]string
	Ports           []ServicePort
	Slices          []Slice
	// Legacy writes Slices as Endpoints.
	Legacy bool
}

// ServicePort leads to the container port of a number, or of a name; neither
// is the same number. Protocol "" is TCP.
type ServicePort struct {
	Name, Protocol string
	Port           int
	Target         int
	TargetName     string
}

// Slice is an EndpointSlice: addresses of one family and their ports.
type Slice struct {
	Addrs []netip.Addr
	Ready bool
	Ports []ContainerPort
}

// Set is a NetworkSet, or without a namespace a GlobalNetworkSet (S18).
type Set struct {
	Namespace, Name string
	Labels          map[string]string
	Nets            []netip.Prefix
}

// HostEndpoint is a node's interface; Addrs are its expectedIPs.
type HostEndpoint struct {
	Name   string
	Labels map[string]string
	Addrs  []netip.Addr
}

// namespace finds a namespace of the world.
func (w *World) namespace(name string) *Namespace {
	for _, ns := range w.Namespaces {
		if ns.Name == name {
			return ns
		}
	}
	return nil
}

// account is the labels of a service account, none if it is not written down.
func (w *World) account(namespace, name string) map[string]string {
	for _, a := range w.Accounts {
		if a.Namespace == namespace && a.Name == name {
			return a.Labels
		}
	}
	return nil
}

// service finds a Service of the world.
func (w *World) service(namespace, name string) *Service {
	for _, s := range w.Services {
		if s.Namespace == namespace && s.Name == name {
			return s
		}
	}
	return nil
}

// Endpoints are the pods that policies see.
func (w *World) Endpoints() []*Pod {
	var out []*Pod
	for _, p := range w.Pods {
		if p.Endpoint() {
			out = append(out, p)
		}
	}
	return out
}
