package policytest

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// end is what an End means: a workload or pod with its endpoints, or an
// address.
type end struct {
	name  string
	peers []tier.Peer
	// pods is how many there are; peers has two of each identity at most.
	pods int
	// wild says that a pattern found it: what can't be asked about it is passed
	// over.
	wild bool
	// service is what the name stands for, if it is one: its ports are
	// translated, as the node does before policies are asked (S22).
	service *policy.Service
	node    string // of a host: it always reaches its own pods (S12)
}

// directory finds ends by name. The workloads are sorted.
type directory struct {
	m         *tier.Model
	workloads []end
	byName    map[string]int
}

func newDirectory(m *tier.Model) *directory {
	d := &directory{m: m, byName: map[string]int{}}
	type seen struct{ workload, identity int }
	known := map[seen]int{}
	for _, ep := range m.Snapshot().Endpoints {
		name := ep.Workload.String()
		i, ok := d.byName[name]
		if !ok {
			i = len(d.workloads)
			d.byName[name] = i
			d.workloads = append(d.workloads, end{name: name})
		}
		w := &d.workloads[i]
		w.pods++
		if k := (seen{i, m.Identity(ep)}); known[k] < 2 {
			known[k]++
			w.peers = append(w.peers, tier.Peer{Endpoint: ep})
		}
	}
	slices.SortFunc(d.workloads, func(a, b end) int { return strings.Compare(a.name, b.name) })
	for i := range d.workloads {
		d.byName[d.workloads[i].name] = i
	}
	return d
}

// find is all that one name or pattern means.
func (d *directory) find(name string) ([]end, error) {
	if i, ok := d.byName[name]; ok {
		return d.workloads[i : i+1], nil
	}
	if strings.ContainsAny(name, "*?") {
		return d.match(name)
	}
	e, err := connectivity.Lookup(d.m, name, nil)
	if err != nil {
		return nil, err
	}
	if i, ok := d.byName[e.Name]; ok { // a bare name
		return d.workloads[i : i+1], nil
	}
	if len(e.Peers) == 0 {
		return nil, fmt.Errorf("%s: there is no address behind it", name)
	}
	return []end{{name: name, peers: e.Peers, pods: len(e.Peers), service: e.Service, node: e.Node}}, nil
}

// match is the workloads that a pattern means; * alone means all of them.
func (d *directory) match(pattern string) ([]end, error) {
	if pattern == "*" {
		pattern = "*/*"
	}
	var out []end
	for _, w := range d.workloads {
		ok, err := path.Match(pattern, w.name)
		if err != nil {
			return nil, fmt.Errorf("%q is no pattern: %w", pattern, err)
		}
		if ok {
			w.wild = true
			out = append(out, w)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no workload matches %q", pattern)
	}
	return out, nil
}

// namespaces refuses those that have no workload.
func (d *directory) namespaces(names []string) error {
	var known []string
	for _, w := range d.workloads {
		known = append(known, w.peers[0].Endpoint.Namespace)
	}
	known = slices.Compact(known)
	for _, n := range names {
		if !slices.Contains(known, n) {
			return &connectivity.UnknownName{What: "namespace with workloads", Name: n, Known: known}
		}
	}
	return nil
}

// Where everybody is meant, that is every workload and this.
const outsideName = "internet"

// everybody is who there is besides those that only names.
func (d *directory) everybody() []end {
	out := make([]end, 0, len(d.workloads)+1)
	for _, w := range d.workloads {
		w.wild = true
		out = append(out, w)
	}
	if e, err := connectivity.Lookup(d.m, outsideName, nil); err == nil {
		out = append(out, end{name: outsideName, peers: e.Peers, pods: len(e.Peers), wild: true})
	}
	return out
}

// portsOf are the ports to ask about at an endpoint, sorted: those of the case,
// or those that it declares.
func portsOf(ep *policy.Endpoint, ports []Port, protocol policy.Protocol) ([]question, error) {
	var out []question
	for _, p := range ports {
		if p.Name == "" {
			out = append(out, question{orTCP(protocol), p.Range})
			continue
		}
		named := declared(ep, protocol, p.Name)
		if len(named) == 0 {
			return nil, fmt.Errorf("%s declares no port %q%s", ep.Workload, p.Name, of(protocol))
		}
		out = append(out, named...)
	}
	switch {
	case len(ports) > 0:
	case protocol.HasTypes():
		echo := policy.EchoRequest(protocol)
		out = append(out, question{protocol, policy.PortRange{Min: echo, Max: echo}})
	case protocol != 0 && !withPorts(protocol):
		out = append(out, question{protocol: protocol})
	default:
		if out = declared(ep, protocol, ""); len(out) == 0 {
			return nil, fmt.Errorf("%s declares no port%s: say which with port", ep.Workload, of(protocol))
		}
	}
	slices.SortFunc(out, question.compare)
	return slices.Compact(out), nil
}

func declared(ep *policy.Endpoint, protocol policy.Protocol, name string) []question {
	var out []question
	for _, p := range ep.Ports {
		if (protocol == 0 || p.Protocol == protocol) && (name == "" || p.Name == name) {
			out = append(out, question{p.Protocol, policy.PortRange{Min: p.Port, Max: p.Port}})
		}
	}
	return out
}

func orTCP(p policy.Protocol) policy.Protocol {
	if p == 0 {
		return policy.TCP
	}
	return p
}

func of(p policy.Protocol) string {
	if p == 0 {
		return ""
	}
	return " of " + p.String()
}
