package replay

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// addresses are those that an end may have, as sets which no resource tells apart.
type addresses struct {
	atoms  []*connectivity.Atom
	sorted []int // numbers of atoms by their address
	// groups remember what innermost says of networks that belong together, which
	// may be thousands.
	groups map[groupName][]int32
}

type groupName struct {
	model *tier.Model
	name  string
}

// outside are the addresses that are neither pods' nor nodes', all of them or
// those of a network set.
func (r *Replay) outside(set *policy.NetworkSet) *addresses {
	if r.atoms == nil {
		snaps := make([]*policy.Snapshot, len(r.asked))
		for i, m := range r.asked {
			snaps[i] = m.Snapshot()
		}
		r.atoms, r.unowned = connectivity.NewAtoms(snaps...), map[policy.Key]*addresses{}
	}
	var key policy.Key
	if set != nil {
		key = set.Key
	}
	if r.unowned[key] == nil {
		a := &addresses{atoms: r.atoms.Unowned(set, r.asked...), groups: map[groupName][]int32{}}
		for i := range a.atoms {
			a.sorted = append(a.sorted, i)
		}
		slices.SortFunc(a.sorted, func(i, j int) int { return a.atoms[i].Addr.Compare(a.atoms[j].Addr) })
		r.unowned[key] = a
	}
	return r.unowned[key]
}

// toldApart are atoms that stand for all: those that the policies of the ends,
// enforced or staged, can't tell from one that is there are left out.
func (r *Replay) toldApart(a *addresses, ends []tier.Peer, dir policy.Direction) []*connectivity.Atom {
	marks := make([][]byte, len(a.atoms))
	mark := func(by []int32, in func(int32) int32) {
		for i := range marks {
			marks[i] = binary.AppendVarint(marks[i], int64(in(by[i])))
		}
	}
	for _, m := range r.asked {
		for _, end := range ends {
			for _, scope := range []tier.Scope{tier.Enforced(), tier.Pending()} {
				g := m.Ground(scope, dir, end.Endpoint)
				if len(g.Nets) > 0 {
					mark(a.innermost(g.Nets), func(n int32) int32 { return n })
				}
				for _, group := range g.Groups {
					name := groupName{m, group.Name}
					if a.groups[name] == nil {
						a.groups[name] = a.innermost(group.Nets)
					}
					mark(a.groups[name], func(n int32) int32 { return min(n, 0) }) // in it or not
				}
			}
		}
	}
	seen := map[string]bool{}
	var out []*connectivity.Atom
	for i, at := range a.atoms {
		key := string(append(marks[i], byte(family(at.Addr.Is4()))))
		if !seen[key] {
			seen[key] = true
			out = append(out, at)
		}
	}
	return out
}

// innermost is for each atom the number of the smallest of some nets that holds
// it, which tells all that do; -1 for none. The nets are sorted.
func (a *addresses) innermost(nets []netip.Prefix) []int32 {
	out := make([]int32, len(a.atoms))
	var open []int32 // nets, each within the one before
	leave := func(addr netip.Addr) {
		for len(open) > 0 && !nets[open[len(open)-1]].Contains(addr) {
			open = open[:len(open)-1]
		}
	}
	next := 0
	for _, i := range a.sorted {
		addr := a.atoms[i].Addr
		for ; next < len(nets) && nets[next].Addr().Compare(addr) <= 0; next++ {
			leave(nets[next].Addr())
			open = append(open, int32(next))
		}
		leave(addr)
		out[i] = -1
		if len(open) > 0 {
			out[i] = open[len(open)-1]
		}
	}
	return out
}
