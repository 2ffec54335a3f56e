package policytest

import (
	"errors"
	"net/netip"
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
var errNothing = errors.New("there is nothing to test: no destination declares such a port")

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
	several := p.from.pods > 1 || p.to.pods > 1
	var out []Check
	for _, dst := range p.to.peers {
		questions, err := p.questions(dst.Endpoint)
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
					out = append(out, r.judge(Check{From: p.from.name, To: p.to.name, Source: src, Destination: dst,
						Protocol: q.protocol, Ports: ports, Expected: p.expect, By: by})...)
				}
			}
		}
	}
	return out, nil
}

// without is what is left of a range without others.
func without(r policy.PortRange, others []policy.PortRange) []policy.PortRange {
	left := []policy.PortRange{r}
	for _, o := range others {
		var next []policy.PortRange
		for _, l := range left {
			if o.Max < l.Min || l.Max < o.Min {
				next = append(next, l)
				continue
			}
			if l.Min < o.Min {
				next = append(next, policy.PortRange{Min: l.Min, Max: o.Min - 1})
			}
			if o.Max < l.Max {
				next = append(next, policy.PortRange{Min: o.Max + 1, Max: l.Max})
			}
		}
		left = next
	}
	return left
}

// judge asks the model. A range of ports falls apart where the verdict changes,
// and a pair with addresses of both families where that matters.
func (r *runner) judge(c Check) []Check {
	var perFamily [][]Check
	for _, at := range families(c.Source, c.Destination) {
		c.Source, c.Destination = at[0], at[1]
		perFamily = append(perFamily, r.ports(c))
	}
	if len(perFamily) == 1 {
		return perFamily[0]
	}
	same := slices.EqualFunc(perFamily[0], perFamily[1], func(a, b Check) bool { return a.Ports == b.Ports && a.alike(&b) })
	if same {
		return perFamily[0]
	}
	out := slices.Concat(perFamily...)
	for i := range out {
		out[i].OneFamily = true
	}
	return out
}

// ports asks for each interval of ports in which the verdict can't change, and
// joins those that got the same.
func (r *runner) ports(c Check) []Check {
	var out []Check
	for _, ports := range r.intervals(&c) {
		c.Ports = ports
		c.decide(r.m.Evaluate(r.scope, tier.Conn{
			Source: c.Source, Destination: c.Destination, Protocol: c.Protocol, Port: ports.Min,
		}))
		if n := len(out); n > 0 && out[n-1].alike(&c) {
			out[n-1].Ports.Max = ports.Max
			continue
		}
		out = append(out, c)
	}
	return out
}

// families are the addresses that two ends talk with: one pair for each family
// that both have, or as they are.
func families(src, dst tier.Peer) [][2]tier.Peer {
	var out [][2]tier.Peer
	if src.Endpoint != nil && dst.Endpoint != nil && !src.Addr.IsValid() && !dst.Addr.IsValid() {
		for _, is4 := range []bool{true, false} {
			a, b := addrOf(src, is4), addrOf(dst, is4)
			if a.IsValid() && b.IsValid() {
				out = append(out, [2]tier.Peer{{Endpoint: src.Endpoint, Addr: a}, {Endpoint: dst.Endpoint, Addr: b}})
			}
		}
	}
	if len(out) == 0 {
		out = append(out, [2]tier.Peer{src, dst})
	}
	return out
}

func addrOf(p tier.Peer, is4 bool) (found netip.Addr) {
	for _, a := range p.Endpoint.Addrs {
		if a.Is4() == is4 {
			return a
		}
	}
	return found
}

// intervals cuts the ports into parts in which the verdict can't change.
func (r *runner) intervals(c *Check) []policy.PortRange {
	if c.Ports.Min == c.Ports.Max {
		return []policy.PortRange{c.Ports}
	}
	starts := []uint16{c.Ports.Min}
	add := func(dir policy.Direction, local, peer tier.Peer) {
		if local.Endpoint == nil {
			return
		}
		for _, s := range r.m.Cuts(r.scope, dir, local, peer).Ports[c.Protocol] {
			if c.Ports.Min < s && s <= c.Ports.Max {
				starts = append(starts, s)
			}
		}
	}
	add(policy.Egress, c.Source, c.Destination)
	add(policy.Ingress, c.Destination, c.Source)
	slices.Sort(starts)
	starts = slices.Compact(starts)
	out := make([]policy.PortRange, len(starts))
	for i, s := range starts {
		out[i] = policy.PortRange{Min: s, Max: c.Ports.Max}
		if i+1 < len(starts) {
			out[i].Max = starts[i+1] - 1
		}
	}
	return out
}
