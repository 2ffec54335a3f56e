package ruleset

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/tier"
)

// terrain is the addresses of one family.
type terrain struct {
	fam    *family
	ground string // its key
	// segments cover all addresses in order; their net is a class, or -1 where
	// no net is.
	segments []segment
	// names tell classes the same way as long as the rules are the same.
	names []string
	// order is the classes as they first come in segments, -1 among them,
	// weights about how many addresses each has, samples one of them; both by
	// class + 1.
	order   []int
	weights []float64
	samples []netip.Addr

	lists map[string]*netList
	// peers are the classes of known peers by identity, nil where not asked yet.
	peers [][]int32
}

// newTerrain cuts the addresses at the borders of all nets and numbers the
// classes.
func newTerrain(f *family, key string, g tier.Ground) *terrain {
	t := &terrain{fam: f, ground: key, lists: map[string]*netList{}}
	all, in := f.places(g)
	t.segments = f.cut(all)
	numbers, classes := map[string]int{}, make([]int, len(all))
	var open []int // nested prefixes, outermost first
	for i, p := range all {
		for len(open) > 0 && !all[open[len(open)-1]].Contains(p.Addr()) {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			in[i] = in[open[len(open)-1]].with(in[i])
		}
		open = append(open, i)
		name := in[i].String()
		n, ok := numbers[name]
		if !ok {
			n = len(t.names)
			numbers[name] = n
			t.names = append(t.names, name)
		}
		classes[i] = n
	}
	t.weights, t.samples = make([]float64, len(t.names)+1), make([]netip.Addr, len(t.names)+1)
	for i := range t.segments {
		s := &t.segments[i]
		if s.net >= 0 {
			s.net = classes[s.net]
		}
		if !t.samples[s.net+1].IsValid() {
			t.samples[s.net+1] = s.lo
			t.order = append(t.order, s.net)
		}
		t.weights[s.net+1] += size(*s)
	}
	return t
}

// place is where a prefix's addresses are: the innermost of the rules' own nets
// around them, and the groups.
type place struct {
	net    netip.Prefix
	groups []int // sorted
}

func (p place) String() string { return fmt.Sprint(p.net, p.groups) }

// with is p and what lies deeper.
func (p place) with(inner place) place {
	if !inner.net.IsValid() {
		inner.net = p.net
	}
	inner.groups = slices.Concat(p.groups, inner.groups)
	slices.Sort(inner.groups)
	inner.groups = slices.Compact(inner.groups)
	return inner
}

// places are the family's prefixes, sorted, and what each one is by itself.
func (f *family) places(g tier.Ground) ([]netip.Prefix, []place) {
	type entry struct {
		prefix netip.Prefix
		group  int // -1: a rule's own
	}
	var list []entry
	add := func(nets []netip.Prefix, group int) {
		for _, p := range nets {
			if p.IsValid() && familyOf(p.Addr()) == f.index {
				list = append(list, entry{p.Masked(), group})
			}
		}
	}
	add(g.Nets, -1)
	for i := range g.Groups {
		add(g.Groups[i].Nets, i)
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()), cmp.Compare(a.group, b.group))
	})
	var all []netip.Prefix
	var in []place
	for _, e := range list {
		if n := len(all); n == 0 || all[n-1] != e.prefix {
			all, in = append(all, e.prefix), append(in, place{})
		}
		if at := &in[len(in)-1]; e.group < 0 {
			at.net = e.prefix
		} else {
			at.groups = append(at.groups, e.group)
		}
	}
	return all, in
}

// class is the class of an address, or -1.
func (t *terrain) class(a netip.Addr) int { return t.segments[find(t.segments, a)].net }

// of is the classes of an identity's members.
func (t *terrain) of(id int, members []member) []int32 {
	if id >= len(t.peers) {
		t.peers = append(t.peers, make([][]int32, id+1-len(t.peers))...)
	}
	if t.peers[id] == nil {
		t.peers[id] = make([]int32, len(members))
		for i, mb := range members {
			t.peers[id][i] = int32(t.class(mb.addr))
		}
	}
	return t.peers[id]
}

// heaviest is the answer that most addresses get; the first one on a tie.
func (t *terrain) heaviest(around []answerID) answerID {
	weight := map[answerID]float64{}
	best := around[t.order[0]+1]
	for _, c := range t.order {
		weight[around[c+1]] += t.weights[c+1]
	}
	for _, c := range t.order {
		if ans := around[c+1]; weight[ans] > weight[best] {
			best = ans
		}
	}
	return best
}

// size is about how many addresses a segment has.
func size(s segment) float64 {
	lo, hi := s.lo.AsSlice(), s.hi.AsSlice()
	n := 0.0
	for i := range lo {
		n = n*256 + float64(hi[i]) - float64(lo[i])
	}
	return n + 1
}
