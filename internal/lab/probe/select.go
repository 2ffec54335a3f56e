// Package probe turns a lab's pods into the connections to try between them,
// and what became of those into a report that can be compared with what was
// expected.
//
// It is pure: package prober makes the connections.
package probe

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/internal/lab"
	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/internal/lab/prober"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Peer is one end of a pair.
type Peer struct {
	Namespace string `json:"namespace"`
	Workload  string `json:"workload"`
	Kind      string `json:"kind"`
}

// String is namespace/workload.
func (p Peer) String() string { return p.Namespace + "/" + p.Workload }

// Port is a protocol and a port. Protocol "" (in a Selection) is any.
type Port struct {
	Protocol string
	Port     uint16
}

// ParsePort reads 5432, or with its protocol tcp:5432 or udp:53.
func ParsePort(s string) (Port, error) {
	proto, number, ok := strings.Cut(s, ":")
	if !ok {
		proto, number = "", s
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return Port{}, fmt.Errorf("port %q: expected a number from 1 to 65535, or PROTOCOL:NUMBER", s)
	}
	if ok {
		if proto, err = ParseProtocol(proto); err != nil || proto == prober.ICMP {
			return Port{}, fmt.Errorf("port %q: expected tcp:NUMBER or udp:NUMBER", s)
		}
	}
	return Port{Protocol: proto, Port: uint16(n)}, nil
}

// ParseProtocol reads a protocol that can be tried, in any case. icmp is a ping,
// over IPv6 one of ICMPv6.
func ParseProtocol(s string) (string, error) {
	p, err := connectivity.ParseProtocol(s)
	switch {
	case err != nil:
		return "", err
	case p == policy.ICMPv6:
		return prober.ICMP, nil
	case !prober.Knows(p.String()):
		return "", fmt.Errorf("connections of %s can't be tried, only those of tcp, udp and icmp; netpol explain and netpol test judge it", connectivity.ProtocolText(p))
	}
	return p.String(), nil
}

// Selection says which pairs to try.
type Selection struct {
	// Namespaces: one end at least is in one of them. Empty: both ends are in
	// any but the cluster's own, and with System in those too. It is what
	// connectivity means by -n and -A.
	Namespaces []string
	System     bool
	// From and To are workloads, as namespace/workload or by name; empty: all.
	From, To string
	// Ports to try: of those that a destination declares, or, with To, any.
	// Empty: all that are declared.
	Ports []Port
	// Protocols to try: of the declared ports those of them, and a ping for
	// prober.ICMP. Empty: those of the ports.
	Protocols []string
	// Families are which addresses to try, as Is6 says.
	Families []bool
	// Services makes connections to a pod's port by the Services that lead
	// there, instead of to the pod's own address; ports without a Service are
	// left out.
	Services []plan.Service
}

// UnknownError is a name in a Selection that nothing has.
type UnknownError struct {
	What, Name string
	Known      []string
}

// Error names it.
func (e *UnknownError) Error() string { return fmt.Sprintf("no %s %q", e.What, e.Name) }

// picks says whether one pod is to connect to another. Workloads that are
// named count wherever they are.
func (s *Selection) picks(from, to *lab.PodStatus) bool {
	if s.From != "" && !named(from, s.From) || s.To != "" && !named(to, s.To) {
		return false
	}
	source, destination := workload(from), workload(to)
	if len(s.Namespaces) == 0 {
		switch {
		case s.From != "" && s.To != "":
			return true
		case s.From != "":
			source = destination
		case s.To != "":
			destination = source
		}
	}
	return connectivity.InNamespaces(s.Namespaces, s.System)(source, destination)
}

func workload(p *lab.PodStatus) policy.Workload {
	return policy.Workload{Kind: policy.Kind(p.Workload.Kind), Namespace: p.Namespace, Name: p.Workload.Name}
}

func named(p *lab.PodStatus, name string) bool {
	return name == p.Workload.Name || name == p.Namespace+"/"+p.Workload.Name
}

// ports are the ports to try at a pod, sorted. A ping is ICMP without one.
func (s *Selection) ports(p *lab.PodStatus) []Port {
	var out []Port
	if slices.Contains(s.Protocols, prober.ICMP) {
		out = append(out, Port{Protocol: prober.ICMP})
	}
	if s.To != "" && len(s.Ports) > 0 {
		out = append(out, s.asked(p)...)
	} else {
		for _, d := range p.Ports {
			if s.takes(d.Protocol) && (len(s.Ports) == 0 || slices.ContainsFunc(s.Ports, func(w Port) bool {
				return w.Port == d.Port && (w.Protocol == "" || w.Protocol == d.Protocol)
			})) {
				out = append(out, Port{Protocol: d.Protocol, Port: d.Port})
			}
		}
	}
	slices.SortFunc(out, comparePorts)
	return slices.Compact(out)
}

// asked are the ports that were named, whether the pod declares them or not.
func (s *Selection) asked(p *lab.PodStatus) []Port {
	var out []Port
	for _, want := range s.Ports {
		switch {
		case want.Protocol != "":
			out = append(out, want)
		case len(s.Protocols) == 0:
			out = append(out, Port{declared(p, want.Port), want.Port})
		default:
			for _, protocol := range s.Protocols {
				if protocol != prober.ICMP {
					out = append(out, Port{protocol, want.Port})
				}
			}
		}
	}
	return out
}

func (s *Selection) takes(protocol string) bool {
	return prober.Knows(protocol) && (len(s.Protocols) == 0 || slices.Contains(s.Protocols, protocol))
}

// declared is the protocol with which a pod declares a port, or TCP.
func declared(p *lab.PodStatus, port uint16) string {
	for _, d := range p.Ports {
		if d.Port == port {
			return d.Protocol
		}
	}
	return plan.TCP
}

func comparePorts(a, b Port) int {
	return cmp.Or(cmp.Compare(a.Port, b.Port), cmp.Compare(a.Protocol, b.Protocol))
}

// check refuses names that nothing has.
func (s *Selection) check(pods []lab.PodStatus) error {
	var namespaces, workloads []string
	for i := range pods {
		namespaces = append(namespaces, pods[i].Namespace)
		workloads = append(workloads, peer(&pods[i]).String(), pods[i].Workload.Name)
	}
	namespaces, workloads = unique(namespaces), unique(workloads)
	for _, ns := range s.Namespaces {
		if !slices.Contains(namespaces, ns) {
			return &UnknownError{What: "namespace with pods", Name: ns, Known: namespaces}
		}
	}
	for _, name := range []string{s.From, s.To} {
		if name != "" && !slices.ContainsFunc(pods, func(p lab.PodStatus) bool { return named(&p, name) }) {
			return &UnknownError{What: "workload", Name: name, Known: workloads}
		}
	}
	return nil
}

func unique(s []string) []string {
	slices.Sort(s)
	return slices.Compact(s)
}
