package connectivity

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Unowned are the atoms with an address that may be a peer's which is neither a
// pod nor a node, as the models know them: those of a network set alone if one is
// given. Their number does not grow with the size of sets. The biggest ones of
// each family come first.
func (a *Atoms) Unowned(in *policy.NetworkSet, models ...*tier.Model) []*Atom {
	var out []*Atom
	nodes := nodeAddrs(models)
	internet := a.Internet()
	add := func(at *Atom) {
		if in != nil && !slices.ContainsFunc(at.Sets, func(s *policy.NetworkSet) bool { return s.Key == in.Key }) {
			return
		}
		if slices.ContainsFunc(models, func(m *tier.Model) bool { return !taken(m, at, nodes) }) {
			out = append(out, at)
		}
	}
	for _, at := range internet {
		add(at)
	}
	for i := range a.all {
		if at := &a.all[i]; !slices.Contains(internet, at) {
			add(at)
		}
	}
	return out
}

// nodeAddrs are the addresses of nodes, as far as they are known.
func nodeAddrs(models []*tier.Model) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, m := range models {
		for _, n := range m.Snapshot().Nodes {
			for _, addr := range n.Addrs {
				out[addr.Unmap()] = true
			}
		}
		for _, h := range m.Snapshot().HostEndpoints {
			for _, addr := range h.Addrs {
				if h.Node != "" {
					out[addr.Unmap()] = true
				}
			}
		}
	}
	return out
}

// taken says whether all of an atom's addresses are pods' or nodes'.
func taken(m *tier.Model, at *Atom, nodes map[netip.Addr]bool) bool {
	return !slices.ContainsFunc(at.Nets, func(n netip.Prefix) bool {
		return !n.IsSingleIP() || m.Owner(n.Addr()) == nil && !nodes[n.Addr()]
	})
}

// Where is the atom in a few words: its nets, with the most specific network set
// that holds them, or that it is what nothing names.
func (a *Atoms) Where(at *Atom) string {
	switch {
	case slices.Contains(a.Internet(), at) && at.Addr.Is6():
		return "any other IPv6 address"
	case slices.Contains(a.Internet(), at):
		return "any other address"
	case len(at.Sets) > 0:
		return at.Sets[0].Key.String() + " (" + at.Text() + ")"
	}
	return at.Text()
}
