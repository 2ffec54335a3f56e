// Package connectivity answers who may talk to whom: the model's verdict for
// every pair of workloads, and what changes between two sets of policies. It
// also knows the names that users type for the ends of connections.
//
// It is pure. Whether packets really pass is for the prober to find out.
package connectivity

import (
	"runtime"
	"slices"
	"sync"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Pick says which pairs of workloads are looked at.
type Pick func(source, destination policy.Workload) bool

// systemNamespaces hold the cluster's own workloads: asked for with all only.
var systemNamespaces = []string{"kube-system", "netpol-system"}

// InNamespaces picks pairs of which one end is in one of the namespaces;
// without any, pairs of applications: all but the cluster's own namespaces,
// and these too if all is set.
func InNamespaces(namespaces []string, all bool) Pick {
	return func(src, dst policy.Workload) bool {
		if len(namespaces) > 0 {
			return slices.Contains(namespaces, src.Namespace) || slices.Contains(namespaces, dst.Namespace)
		}
		return all || !slices.Contains(systemNamespaces, src.Namespace) && !slices.Contains(systemNamespaces, dst.Namespace)
	}
}

// Options say what is looked at.
type Options struct {
	Pick Pick
	// Outside adds what is outside of the cluster as sources and destinations.
	Outside bool
	// Spaces adds every Pair's Open and Partly.
	Spaces bool
}

// Pair is a source and a destination.
type Pair struct {
	Source, Destination policy.Workload
	// Ports are the verdicts on the ports that the destination declares.
	Ports []PortVerdict
	// Open is what all pods of the source may ask of all pods of the
	// destination, and Partly what only some may.
	Open, Partly Space
}

// PortVerdict is the verdict on one port.
type PortVerdict struct {
	Protocol policy.Protocol
	Port     uint16
	// Allowed of all pairs of pods may talk.
	Allowed, Pairs int
	// By is what denies, or what allows at the end that decides last; nil where
	// no policy applies at either end.
	By *policy.Hit
	// Direction is the end that By belongs to.
	Direction policy.Direction
}

// All says that all pods may.
func (v *PortVerdict) All() bool { return v.Allowed == v.Pairs }

// Some says that some pods may and some may not.
func (v *PortVerdict) Some() bool { return v.Allowed > 0 && v.Allowed < v.Pairs }

// Matrix judges all pairs picked, sorted by source and destination. A workload
// is not paired with itself unless it has more than one pod.
func Matrix(m *tier.Model, scope tier.Scope, o Options) []Pair {
	s := newSorts(m, NewAtoms(m.Snapshot()))
	groups := workloads(m, s)
	if o.Outside {
		for _, x := range outsiders(s.atoms, m) {
			g := group{node: x.node, pods: len(x.atoms)}
			for _, a := range x.atoms {
				g.parties = append(g.parties, s.address(a))
			}
			groups = append(groups, g)
		}
	}
	rows := make([][]Pair, len(groups))
	parallel(len(groups), func() func(int) {
		r := row{j: newJudge(s, scope), groups: groups, o: &o}
		return func(i int) { rows[i] = r.judge(&groups[i]) }
	})
	return slices.Concat(rows...)
}

// parallel does n things on all processors; each has a worker of its own.
func parallel(n int, worker func() func(int)) {
	workers := min(runtime.GOMAXPROCS(0), max(n/16, 1))
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			do := worker()
			// Whole stretches, so that a worker sees few sources.
			for i := n * w / workers; i < n*(w+1)/workers; i++ {
				do(i)
			}
		})
	}
	wg.Wait()
}

// row judges one source after the other.
type row struct {
	j      *judge
	groups []group
	o      *Options
	cells  []cell
	hits   map[policy.Hit]*policy.Hit
}

func (r *row) judge(src *group) []Pair {
	out := make([]Pair, 0, len(r.groups))
	for i := range r.groups {
		dst := &r.groups[i]
		if Outside(src.node) && Outside(dst.node) || r.o.Pick != nil && !r.o.Pick(src.node, dst.node) {
			continue
		}
		r.cells = r.j.cells(src, dst, r.cells[:0])
		if len(r.cells) == 0 {
			continue
		}
		p := Pair{Source: src.node, Destination: dst.node}
		if len(dst.ports) > 0 {
			p.Ports = make([]PortVerdict, len(dst.ports))
		}
		for k, port := range dst.ports {
			p.Ports[k] = r.verdict(port)
		}
		if r.o.Spaces {
			p.Open, p.Partly = spaces(r.cells)
		}
		out = append(out, p)
	}
	return out
}

// verdict is that of all cells on one port.
func (r *row) verdict(port policy.ContainerPort) PortVerdict {
	v := PortVerdict{Protocol: port.Protocol, Port: port.Port}
	denied := false
	for i := range r.cells {
		c := &r.cells[i]
		v.Pairs += c.pairs
		by, dir := c.by(port.Protocol, port.Port)
		if allowed := by.Action == policy.Allow; allowed {
			v.Allowed += c.pairs
			if denied {
				continue // the first denial stays
			}
		} else if denied {
			continue
		} else {
			denied = true
		}
		if by.Rule != policy.NoPolicy {
			v.By, v.Direction = r.hit(by), dir
		}
	}
	return v
}

// hit keeps one of each, so that the caches can go.
func (r *row) hit(h *policy.Hit) *policy.Hit {
	if r.hits == nil {
		r.hits = map[policy.Hit]*policy.Hit{}
	}
	if known, ok := r.hits[*h]; ok {
		return known
	}
	c := *h
	r.hits[c] = &c
	return &c
}

// spaces are what all cells allow, and what only some allow.
func spaces(cells []cell) (open, partly Space) {
	count := func(proto policy.Protocol, port uint16) (all, some bool) {
		all = true
		for i := range cells {
			if cells[i].allows(proto, port) {
				some = true
			} else {
				all = false
			}
		}
		return all, some && !all
	}
	protos := protocols(cells)
	open.Others, partly.Others = count(unlisted(protos), 0)
	for _, proto := range protos {
		var all, some []policy.PortRange
		for r := range intervals(cells, proto) {
			switch a, s := count(proto, r.Min); {
			case a:
				all = addRange(all, r)
			case s:
				some = addRange(some, r)
			}
		}
		open.set(proto, all)
		partly.set(proto, some)
	}
	return open, partly
}

// protocols are those that some side lists, sorted.
func protocols(cells []cell) []policy.Protocol {
	var out []policy.Protocol
	for i := range cells {
		for _, s := range [...]*side{cells[i].egress, cells[i].ingress} {
			for k := range s.protos {
				if !slices.Contains(out, s.protos[k].protocol) {
					out = append(out, s.protos[k].protocol)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

// intervals are the ranges of ports in which no side of the cells changes.
func intervals(cells []cell, proto policy.Protocol) func(func(policy.PortRange) bool) {
	starts := []uint16{0}
	for i := range cells {
		for _, s := range [...]*side{cells[i].egress, cells[i].ingress} {
			for _, sg := range s.segs(proto) {
				starts = append(starts, sg.from)
			}
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	return func(yield func(policy.PortRange) bool) {
		for i, from := range starts {
			r := policy.PortRange{Min: from, Max: allPorts.Max}
			if i+1 < len(starts) {
				r.Max = starts[i+1] - 1
			}
			if !yield(r) {
				return
			}
		}
	}
}
