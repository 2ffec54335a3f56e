package policytest

import (
	"cmp"
	"errors"
	"slices"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// question is a protocol and the ports to ask about; Min and Max are 0 for a
// protocol without ports.
type question struct {
	protocol policy.Protocol
	ports    policy.PortRange
}

func (q question) compare(o question) int {
	return cmp.Or(cmp.Compare(q.protocol, o.protocol), cmp.Compare(q.ports.Min, o.ports.Min), cmp.Compare(q.ports.Max, o.ports.Max))
}

// anyPort is what is asked of an address, which declares none.
var anyPort = policy.PortRange{Min: 1, Max: 65535}

// pair is what a case expects of two ends.
type pair struct {
	from, to end
	// ports and protocol are the case's, or what its target says.
	ports    []Port
	protocol policy.Protocol
	expect   policy.Action
	// rest: what is expected of everybody that only does not name.
	rest bool
}

// expander finds the connections that cases mean.
type expander struct {
	dir *directory
}

// pairs are the pairs of ends of a case.
func (x *expander) pairs(c *Case) ([]pair, error) {
	switch {
	case c.Exclusive && len(c.To) > 0:
		return x.onlyFrom(c)
	case c.Exclusive:
		return x.onlyTo(c)
	}
	sources, err := x.ends(c.From)
	if err != nil {
		return nil, err
	}
	return x.to(c, sources, c.To, c.Expect)
}

// ends are all that the names mean, each once. A name that means nothing is an
// error; all of those are told.
func (x *expander) ends(list []End) ([]end, error) {
	var out []end
	var errs []error
	seen := map[string]bool{}
	for _, e := range list {
		found, err := x.dir.find(e.Text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, f := range found {
			if !seen[f.name] {
				seen[f.name] = true
				out = append(out, f)
			}
		}
	}
	return out, errors.Join(errs...)
}

// to pairs sources with the targets.
func (x *expander) to(c *Case, sources []end, targets []End, expect policy.Action) ([]pair, error) {
	var out []pair
	var errs []error
	for _, text := range targets {
		t, err := connectivity.ParseTarget(text.Text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		found, err := x.dir.find(t.Name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p := pair{ports: c.Ports, protocol: c.Protocol, expect: expect}
		if t.Given {
			p.ports = []Port{{Name: t.PortName, Range: policy.PortRange{Min: t.Port, Max: t.Port}}}
		}
		if t.Protocol != 0 {
			p.protocol = t.Protocol
		}
		for _, p.from = range sources {
			for _, p.to = range found {
				out = append(out, p)
			}
		}
	}
	return out, errors.Join(errs...)
}

// onlyFrom: what is named may reach the targets, everybody else may not.
func (x *expander) onlyFrom(c *Case) ([]pair, error) {
	named, err := x.ends(c.Only)
	if err != nil {
		return nil, err
	}
	allowed, err := x.to(c, named, c.To, policy.Allow)
	if err != nil {
		return nil, err
	}
	others := slices.DeleteFunc(x.dir.everybody(), func(e end) bool { return covers(named, e) })
	denied, err := x.to(c, others, c.To, policy.Deny)
	for i := range denied {
		denied[i].rest = true
	}
	return append(allowed, denied...), err
}

// covers says whether an end is among those named: itself, or as a pod of it.
func covers(named []end, e end) bool {
	return slices.ContainsFunc(named, func(n end) bool {
		if n.name == e.name {
			return true
		}
		ep := n.peers[0].Endpoint
		return ep != nil && ep.Workload.String() == e.name
	})
}

// onlyTo: the sources may reach what is named, and nothing else. Ports that a
// destination declares and that are not named are among the rest.
func (x *expander) onlyTo(c *Case) ([]pair, error) {
	sources, err := x.ends(c.From)
	if err != nil {
		return nil, err
	}
	allowed, err := x.to(c, sources, c.Only, policy.Allow)
	if err != nil {
		return nil, err
	}
	out := allowed
	for _, to := range x.dir.everybody() {
		for _, from := range sources {
			p := pair{from: from, to: to, ports: c.Ports, protocol: c.Protocol, expect: policy.Deny, rest: true}
			out = append(out, p)
		}
	}
	return out, nil
}

// questions are what is asked of one endpoint or address of a pair.
func (p *pair) questions(to tier.Peer) ([]question, error) {
	ep := to.Endpoint
	if p.to.service != nil {
		return p.translated(to)
	}
	if ep != nil {
		q, err := portsOf(ep, p.ports, p.protocol)
		if err != nil && p.to.wild {
			return nil, nil // not every workload has such a port
		}
		return q, err
	}
	if len(p.ports) == 0 {
		return anything(p.protocol), nil
	}
	var out []question
	for _, port := range p.ports {
		if port.Name != "" {
			return nil, errors.New(p.to.name + " declares no ports: give " + port.Name + " as a number")
		}
		out = append(out, question{orTCP(p.protocol), port.Range})
	}
	return out, nil
}

// anything is all that can be asked of an address: every port of a protocol, or
// of TCP and UDP where none is given.
func anything(p policy.Protocol) []question {
	switch {
	case p == 0:
		return []question{{policy.TCP, anyPort}, {policy.UDP, anyPort}}
	case p.HasTypes():
		return []question{{p, policy.PortRange{Min: policy.EchoRequest(p), Max: policy.EchoRequest(p)}}}
	case withPorts(p):
		return []question{{p, anyPort}}
	}
	return []question{{protocol: p}}
}

// withPorts says whether connections of a protocol have ports, if rules may give
// them or not (S22).
func withPorts(p policy.Protocol) bool { return p.HasPorts() || p == policy.UDPLite }

// rest are the pairs of workloads that default is about.
func (x *expander) rest(t *Test) ([]pair, error) {
	if err := x.dir.namespaces(t.Namespaces); err != nil {
		return nil, err
	}
	var out []pair
	picks, application := connectivity.InNamespaces(t.Namespaces, false), connectivity.InNamespaces(nil, false)
	meant := func(w policy.Workload) bool { // the cluster's own only if they are named
		return application(w, w) || slices.Contains(t.Namespaces, w.Namespace)
	}
	for _, from := range x.dir.workloads {
		for _, to := range x.dir.workloads {
			a, b := from.peers[0].Endpoint.Workload, to.peers[0].Endpoint.Workload
			if picks(a, b) && meant(a) && meant(b) {
				from.wild, to.wild = true, true
				out = append(out, pair{from: from, to: to, expect: t.Default})
			}
		}
	}
	return out, nil
}
