package recommend

import (
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// finish writes the ports of a draft, and says what it admits.
func (w *writer) finish(d *draft) []Rule {
	d.Purpose = w.shared(d.Evidence)
	d.Admits = w.admits(d)
	names, numbers := w.namePorts(d)
	ports := ranges(numbers)
	var out []Rule
	for len(ports)+len(names) > maxPorts {
		r := d.Rule
		r.Ports = ports[:min(maxPorts, len(ports))]
		ports = ports[len(r.Ports):]
		r.NamedPorts = names[:maxPorts-len(r.Ports)]
		names = names[len(r.NamedPorts):]
		out = append(out, r)
	}
	r := d.Rule
	r.Ports, r.NamedPorts = ports, names
	return append(out, r)
}

// shared is what all of some flows are to the cluster.
func (w *writer) shared(flows []*flow.Observed) string {
	purpose := ""
	for i, o := range flows {
		p := w.purpose(o)
		if i > 0 && p != purpose {
			return ""
		}
		purpose = p
	}
	return purpose
}

// admits are the workloads that the selector of a draft picks and that its
// evidence is not of.
func (w *writer) admits(d *draft) []policy.Workload {
	seen := map[policy.Workload]bool{}
	for _, o := range d.Evidence {
		seen[w.workload(o.Source)], seen[w.workload(o.Destination)] = true, true
	}
	picks := slices.DeleteFunc(slices.Clone(d.picks), func(p policy.Workload) bool { return seen[p] })
	slices.SortFunc(picks, compareWorkloads)
	return slices.Compact(picks)
}

// namePorts names those of a draft's ports that have one name at every pod which
// the rule is about. DNS keeps its number, which is better known.
func (w *writer) namePorts(d *draft) (names []NamedPort, numbers []uint16) {
	if w.write.Numbers || d.Purpose == purposeDNS || !d.Protocol.HasPorts() {
		return nil, d.ports
	}
	var eps []*policy.Endpoint
	if w.dir == policy.Ingress {
		eps = w.endpoints(w.t.workloads)
	} else if d.Selector != nil && len(d.Sets) == 0 {
		eps = w.endpoints(d.picks)
	}
	for _, p := range d.ports {
		if name := nameOf(eps, d.Protocol, p); name != "" {
			names = append(names, NamedPort{Name: name, Port: p})
		} else {
			numbers = append(numbers, p)
		}
	}
	slices.SortFunc(names, func(a, b NamedPort) int { return strings.Compare(a.Name, b.Name) })
	return names, numbers
}

// nameOf is the name that all of some pods have for a port, and for no other.
func nameOf(eps []*policy.Endpoint, proto policy.Protocol, port uint16) string {
	name := ""
	for i, ep := range eps {
		at := slices.IndexFunc(ep.Ports, func(p policy.ContainerPort) bool {
			return p.Protocol == proto && p.Port == port && p.Name != "" && (i == 0 || p.Name == name)
		})
		if at < 0 {
			return ""
		}
		name = ep.Ports[at].Name
		if slices.ContainsFunc(ep.Ports, func(p policy.ContainerPort) bool {
			return p.Protocol == proto && p.Name == name && p.Port != port
		}) {
			return ""
		}
	}
	return name
}
