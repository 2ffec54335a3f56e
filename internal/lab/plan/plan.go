// Package plan works out what a lab consists of: which pods the manifests ask
// for, their addresses and names, what their actors do, and where Services
// lead. It does what a cluster's controllers, scheduler and address managers
// do, in one pass.
//
// It is pure: manifests go in as bytes, a Plan and the objects that a cluster
// would have written come out. The same manifests always give the same Plan.
package plan

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// NodeName is the name of a lab's only node.
const NodeName = "lab"

// ClusterDomain is the DNS domain of every lab.
const ClusterDomain = "cluster.local"

// Annotations that manifests may carry.
const (
	// AnnotationConnect, on a pod template, lists what the pod's actor
	// connects to: name:port or name:port/udp, separated by commas.
	AnnotationConnect = "netpol.dev/connect"
	// AnnotationEvery, on a pod template, is the time between two connections
	// to the same target; default DefaultEvery.
	AnnotationEvery = "netpol.dev/every"
	// AnnotationOutside, on a Service, makes the client outside the cluster
	// connect to the Service's node ports, at that interval.
	AnnotationOutside = "netpol.dev/outside-client"
	// AnnotationRole, on a pod template, picks what its actor is; RoleDNS is
	// the only one besides the plain actor.
	AnnotationRole = "netpol.dev/role"
	RoleDNS        = "dns"
)

// DefaultEvery is the time between connections where none is given.
const DefaultEvery = time.Second

// Protocols of ports and targets, as Kubernetes writes them.
const (
	TCP = "TCP"
	UDP = "UDP"
)

// Plan is everything that a lab's node needs to know. It is written to the
// lab's directory as JSON.
type Plan struct {
	Node     Node      `json:"node"`
	Pods     []Pod     `json:"pods"` // sorted by namespace and name
	Services []Service `json:"services"`
	Outside  Outside   `json:"outside"`
	// DNS are the addresses of the cluster's DNS Service.
	DNS []netip.Addr `json:"dns"`
	// Notes are things in the manifests that the lab keeps but does not run.
	Notes []string `json:"notes,omitempty"`
}

// Node is the machine that the pods run on.
type Node struct {
	Name  string       `json:"name"`
	Addrs []netip.Addr `json:"addrs"`
}

// Pod is one pod and what its actor does.
type Pod struct {
	Namespace string   `json:"namespace"`
	Name      string   `json:"name"`
	Workload  Workload `json:"workload"`
	// Addrs are the pod's addresses, IPv4 first.
	Addrs []netip.Addr `json:"addrs"`
	// Interface is the host's end of the pod's veth.
	Interface string        `json:"interface"`
	Ports     []Port        `json:"ports,omitempty"`
	Targets   []Target      `json:"targets,omitempty"`
	Every     time.Duration `json:"every"` // nanoseconds
	Role      string        `json:"role,omitempty"`
}

// ID is namespace/name.
func (p Pod) ID() string { return p.Namespace + "/" + p.Name }

// Addr is the pod's address of the family of like, or invalid.
func (p Pod) Addr(ipv6 bool) netip.Addr { return pick(p.Addrs, ipv6) }

// Workload is the pod's top-most owner.
type Workload struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// Port is a port that a container declares.
type Port struct {
	Name     string `json:"name,omitempty"`
	Protocol string `json:"protocol"`
	Port     uint16 `json:"port"`
}

// Target is something that an actor connects to: a DNS name (or an address)
// and a port.
type Target struct {
	Host     string `json:"host"`
	Protocol string `json:"protocol"`
	Port     uint16 `json:"port"`
	// Label is what the target is called in the lab's status, if not String.
	Label string `json:"label,omitempty"`
	// Every overrides the pod's interval.
	Every time.Duration `json:"every,omitempty"`
}

// String is host:port, or host:port/udp.
func (t Target) String() string {
	if t.Label != "" {
		return t.Label
	}
	s := t.Host + ":" + strconv.Itoa(int(t.Port))
	if t.Protocol != TCP {
		s += "/" + strings.ToLower(t.Protocol)
	}
	return s
}

// Service is a Service with the endpoints of each port.
type Service struct {
	Namespace string        `json:"namespace"`
	Name      string        `json:"name"`
	Addrs     []netip.Addr  `json:"addrs,omitempty"` // empty: headless
	Ports     []ServicePort `json:"ports"`
	// Pods are the addresses of the selected pods (DNS of headless ones).
	Pods []netip.Addr `json:"pods,omitempty"`
}

// ID is namespace/name.
func (s Service) ID() string { return s.Namespace + "/" + s.Name }

// Addr is the Service's address of one family, or invalid.
func (s Service) Addr(ipv6 bool) netip.Addr { return pick(s.Addrs, ipv6) }

// ServicePort is one port of a Service.
type ServicePort struct {
	Name      string           `json:"name,omitempty"`
	Protocol  string           `json:"protocol"`
	Port      uint16           `json:"port"`
	NodePort  uint16           `json:"nodePort,omitempty"`
	Endpoints []netip.AddrPort `json:"endpoints,omitempty"`
}

// Outside is the client outside the cluster.
type Outside struct {
	Addrs   []netip.Addr `json:"addrs"`
	Targets []Target     `json:"targets,omitempty"`
}

func pick(addrs []netip.Addr, ipv6 bool) netip.Addr {
	for _, a := range addrs {
		if a.Is6() == ipv6 {
			return a
		}
	}
	return netip.Addr{}
}

// ParseTargets reads the value of AnnotationConnect.
func ParseTargets(s string) ([]Target, error) {
	var out []Target
	for _, part := range strings.Split(s, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		t, err := parseTarget(part)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

func parseTarget(s string) (Target, error) {
	bad := func(why string) (Target, error) {
		return Target{}, fmt.Errorf("%q: %s; expected name:port, such as redis:6379 or dns:53/udp", s, why)
	}
	rest, proto, hasProto := strings.Cut(s, "/")
	t := Target{Protocol: TCP}
	if hasProto {
		switch strings.ToLower(proto) {
		case "tcp":
		case "udp":
			t.Protocol = UDP
		default:
			return bad("unknown protocol " + strconv.Quote(proto))
		}
	}
	colon := strings.LastIndexByte(rest, ':')
	if colon <= 0 {
		return bad("no port")
	}
	port, err := strconv.ParseUint(rest[colon+1:], 10, 16)
	if err != nil || port == 0 {
		return bad("the port is not a number from 1 to 65535")
	}
	t.Host, t.Port = strings.Trim(rest[:colon], "[]"), uint16(port)
	return t, nil
}

// Search are the DNS search domains of pods in a namespace, as a kubelet
// writes them to resolv.conf.
func Search(namespace string) []string {
	return []string{namespace + ".svc." + ClusterDomain, "svc." + ClusterDomain, ClusterDomain}
}
