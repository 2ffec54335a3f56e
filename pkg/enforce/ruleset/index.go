package ruleset

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// member is an address and the endpoint that owns it (S35).
type member struct {
	addr netip.Addr
	ep   *policy.Endpoint
}

// group is the addresses of one identity, by family, each list sorted.
type group [2][]member

func (g *group) empty() bool { return len(g[0])+len(g[1]) == 0 }

// index is all known peers' addresses by identity. It follows the model and
// belongs to one chain of compilations.
type index struct {
	model  *tier.Model
	groups []group // by identity
}

// move is an address that changed hands: from is the identity that had it, to
// the one that has it now; -1 is nobody.
type move struct {
	addr     netip.Addr
	from, to int
	// same says that nothing but the endpoint's own data changed, so that its
	// tables stay as they are.
	same bool
}

// changes is what differs between two states of the index.
type changes struct {
	moves []move
	// fresh identities had no address before: what is remembered of their
	// number is void.
	fresh []int
	// relabelled identities are in namespaces, or have service accounts, whose
	// labels changed.
	relabelled []int
}

func newIndex(m *tier.Model) *index {
	x := &index{model: m}
	for _, ep := range m.Snapshot().Endpoints {
		for _, addr := range ep.Addrs {
			if addr = addr.Unmap(); m.Owner(addr) == ep {
				if id := m.Identity(ep); id >= 0 {
					list := &x.group(id)[familyOf(addr)]
					*list = append(*list, member{addr, ep})
				}
			}
		}
	}
	for i := range x.groups {
		for f := range x.groups[i] {
			slices.SortFunc(x.groups[i][f], compareMembers)
			// An endpoint that lists one address twice has it once.
			x.groups[i][f] = slices.CompactFunc(x.groups[i][f], func(a, b member) bool { return a.addr == b.addr })
		}
	}
	return x
}

func compareMembers(a, b member) int { return a.addr.Compare(b.addr) }

func (x *index) group(id int) *group {
	if id >= len(x.groups) {
		x.groups = append(x.groups, make([]group, id+1-len(x.groups))...)
	}
	return &x.groups[id]
}

// follow brings the index to model m and tells what changed. The models are of
// one epoch.
func (x *index) follow(m *tier.Model) changes {
	var c changes
	old := x.model
	x.model = m
	if old == m {
		return c
	}
	touched := map[netip.Addr]bool{}
	diffSorted(old.Snapshot().Endpoints, m.Snapshot().Endpoints, compareEndpoints, func(ep *policy.Endpoint) {
		for _, a := range ep.Addrs {
			touched[a.Unmap()] = true
		}
	})
	addrs := make([]netip.Addr, 0, len(touched))
	for a := range touched {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	for _, a := range addrs {
		x.move(&c, old, a)
	}
	x.relabel(&c, old)
	return c
}

func (x *index) move(c *changes, old *tier.Model, a netip.Addr) {
	before, after := old.Owner(a), x.model.Owner(a)
	if before == after {
		return
	}
	mv := move{addr: a, from: -1, to: -1}
	if before != nil {
		mv.from = old.Identity(before)
	}
	if after != nil {
		mv.to = x.model.Identity(after)
	}
	mv.same = mv.from == mv.to
	f := familyOf(a)
	if mv.from >= 0 {
		list := &x.group(mv.from)[f]
		if i, ok := slices.BinarySearchFunc(*list, member{addr: a}, compareMembers); ok {
			*list = slices.Delete(*list, i, i+1)
		}
	}
	if mv.to >= 0 {
		g := x.group(mv.to)
		if g.empty() && !mv.same {
			c.fresh = append(c.fresh, mv.to)
		}
		i, _ := slices.BinarySearchFunc(g[f], member{addr: a}, compareMembers)
		g[f] = slices.Insert(g[f], i, member{a, after})
	}
	c.moves = append(c.moves, mv)
}

// relabel lists the identities in namespaces that came, went or changed, or with
// service accounts that did.
func (x *index) relabel(c *changes, old *tier.Model) {
	names, accounts := map[string]bool{}, map[[2]string]bool{}
	before, now := old.Snapshot(), x.model.Snapshot()
	diffSorted(before.Namespaces, now.Namespaces,
		func(a, b *policy.Namespace) int { return strings.Compare(a.Name, b.Name) },
		func(ns *policy.Namespace) { names[ns.Name] = true })
	diffSorted(before.ServiceAccounts, now.ServiceAccounts,
		func(a, b *policy.ServiceAccount) int {
			return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
		},
		func(a *policy.ServiceAccount) { accounts[[2]string{a.Namespace, a.Name}] = true })
	if len(names)+len(accounts) == 0 {
		return
	}
	for id := range x.groups {
		ep := x.groups[id].sample()
		if ep != nil && (names[ep.Namespace] || accounts[[2]string{ep.Namespace, ep.Labels[policy.LabelServiceAccount]}]) {
			c.relabelled = append(c.relabelled, id)
		}
	}
}

// matching lists the identities with addresses that f says yes to.
func (x *index) matching(f func(identity int) bool) []int {
	var out []int
	for id := range x.groups {
		if !x.groups[id].empty() && f(id) {
			out = append(out, id)
		}
	}
	return out
}

// sample is any endpoint of the group, nil if it is empty.
func (g *group) sample() *policy.Endpoint {
	for f := range g {
		if len(g[f]) > 0 {
			return g[f][0].ep
		}
	}
	return nil
}

func compareEndpoints(a, b *policy.Endpoint) int {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// diffSorted calls f for every pointer that is in one list only. Lists are
// sorted by compare.
func diffSorted[T any](a, b []*T, compare func(a, b *T) int, f func(*T)) {
	for len(a) > 0 && len(b) > 0 {
		if a[0] == b[0] {
			a, b = a[1:], b[1:]
			continue
		}
		switch c := compare(a[0], b[0]); {
		case c < 0:
			f(a[0])
			a = a[1:]
		case c > 0:
			f(b[0])
			b = b[1:]
		default:
			f(a[0])
			f(b[0])
			a, b = a[1:], b[1:]
		}
	}
	for _, p := range a {
		f(p)
	}
	for _, p := range b {
		f(p)
	}
}
