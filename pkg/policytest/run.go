package policytest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Report is what became of a test.
type Report struct {
	Test    *Test
	Results []Result // in the order of the cases; the default comes last
}

// Result is what became of a case.
type Result struct {
	Name   string
	Origin policy.Origin
	// Err says why the case could not be judged.
	Err error
	// Checks are the connections that were judged; none only if Err is set.
	Checks []Check
}

// Check is a connection with what is expected of it and what it got.
type Check struct {
	From, To string // names as tests have them
	// Source and Destination are what was judged for them.
	Source, Destination tier.Peer
	Protocol            policy.Protocol
	// OneFamily says that the other family's addresses of both ends get another
	// verdict, which is a check of its own.
	OneFamily bool
	// Ports all get the same verdict; Min and Max are 0 for a protocol without.
	Ports    policy.PortRange
	Expected policy.Action
	By       *By // nil: by whatever
	Got      policy.Action
	// Deciders are what decided, at the ends that gave the verdict Got; none
	// where no end is judged.
	Deciders []Decider
	// Live is what the prober saw; nil: it was not asked.
	Live *Live
}

// Decider is what decided at one end.
type Decider struct {
	Direction policy.Direction
	Hit       policy.Hit
}

// Live is what became of a connection that was really tried.
type Live struct {
	Got     policy.Action // 0: neither can be said
	Text    string        // what was seen
	Skipped string        // why it was not tried; empty: it was
}

// Run judges all cases of a test whose name pick takes.
func Run(m *tier.Model, scope tier.Scope, t *Test, pick func(name string) bool) Report {
	r := &runner{m: m, scope: scope, x: &expander{dir: newDirectory(m)}, known: map[connection][]policy.PortRange{}}
	report := Report{Test: t}
	for i := range t.Cases {
		c := &t.Cases[i]
		picked := pick(c.Name)
		if !picked && t.Default == 0 {
			continue
		}
		result := Result{Name: c.Name, Origin: c.Origin}
		pairs, err := r.x.pairs(c)
		if err == nil {
			result.Checks, err = r.all(pairs, c.By)
		}
		result.Err = err
		for i := range result.Checks {
			r.note(&result.Checks[i])
		}
		if picked {
			report.Results = append(report.Results, result)
		}
	}
	if t.Default != 0 && pick(DefaultName) {
		report.Results = append(report.Results, r.rest(t))
	}
	return report
}

// DefaultName is the name of the result of what default expects.
const DefaultName = "default"

// runner judges the cases of a test.
type runner struct {
	m     *tier.Model
	scope tier.Scope
	x     *expander
	// known is what cases speak of, for what is left to default.
	known map[connection][]policy.PortRange
}

// connection is one between workloads, ports apart.
type connection struct {
	from, to string
	protocol policy.Protocol
}

func (r *runner) note(c *Check) {
	key := connection{nameOf(c.From, c.Source), nameOf(c.To, c.Destination), c.Protocol}
	r.known[key] = append(r.known[key], c.Ports)
}

// nameOf is the workload's name, also for one of its pods.
func nameOf(name string, p tier.Peer) string {
	if p.Endpoint != nil {
		return p.Endpoint.Workload.String()
	}
	return name
}

// rest judges what no case speaks of.
func (r *runner) rest(t *Test) Result {
	result := Result{Name: DefaultName, Origin: t.DefaultOrigin}
	pairs, err := r.x.rest(t)
	if err != nil {
		result.Err = err
		return result
	}
	checks, err := r.all(pairs, nil)
	result.Err = err
	result.Checks = slices.DeleteFunc(checks, func(c Check) bool {
		return slices.ContainsFunc(r.known[connection{c.From, c.To, c.Protocol}], func(known policy.PortRange) bool {
			return known.Min <= c.Ports.Min && c.Ports.Max <= known.Max
		})
	})
	return result
}

// errNothing: patterns and lists that mean something, but no connection.
var errNothing = errors.New("there is nothing to test: no destination declares such a port, or the ends have no addresses of one family")

// all judges pairs.
func (r *runner) all(pairs []pair, by *By) ([]Check, error) {
	var out []Check
	var errs []error
	named := map[connection][]policy.PortRange{}
	for i := range pairs {
		checks, err := r.pair(&pairs[i], by, named)
		out = append(out, checks...)
		if err != nil && !slices.ContainsFunc(errs, func(e error) bool { return e.Error() == err.Error() }) {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 && len(out) == 0 {
		return nil, errNothing
	}
	return once(out), errors.Join(errs...)
}

// once drops what patterns and names that overlap ask twice.
func once(checks []Check) []Check {
	type asked struct {
		src, dst tier.Peer
		protocol policy.Protocol
		ports    policy.PortRange
	}
	seen := make(map[asked]bool, len(checks))
	return slices.DeleteFunc(checks, func(c Check) bool {
		k := asked{c.Source, c.Destination, c.Protocol, c.Ports}
		again := seen[k]
		seen[k] = true
		return again
	})
}

// pair judges all connections between the endpoints of two ends. Those that
// only names are kept in named, and left out of the rest.
func (r *runner) pair(p *pair, by *By, named map[connection][]policy.PortRange) ([]Check, error) {
	if p.from.name == p.to.name && p.from.pods == 1 && (p.from.wild || p.to.wild) {
		return nil, nil // it always reaches itself (S32), which nobody means to test
	}
	if p.from.service != nil {
		return nil, fmt.Errorf("%s: a Service starts no connections, the pods behind it do", p.from.name)
	}
	several := p.from.pods > 1 || p.to.pods > 1
	var out []Check
	for _, dst := range p.to.peers {
		questions, err := p.questions(dst)
		if err != nil {
			return nil, err
		}
		for _, src := range p.from.peers {
			if src.Endpoint != nil && src.Endpoint == dst.Endpoint && several {
				continue
			}
			for _, q := range questions {
				key := connection{nameOf(p.from.name, src), nameOf(p.to.name, dst), q.protocol}
				left := []policy.PortRange{q.ports}
				if p.rest {
					left = without(q.ports, named[key])
				} else {
					named[key] = append(named[key], q.ports)
				}
				for _, ports := range left {
					c := Check{From: p.from.name, To: p.to.name, Source: src, Destination: dst,
						Protocol: q.protocol, Ports: ports, Expected: p.expect, By: by}
					if p.from.node != "" && dst.Endpoint != nil && dst.Endpoint.Node == p.from.node {
						c.Got = policy.Allow // no policy is asked (S12)
						out = append(out, c)
						continue
					}
					out = append(out, r.judge(c)...)
				}
			}
		}
	}
	return out, nil
}
