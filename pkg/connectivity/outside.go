package connectivity

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Atom is a set of addresses that no rule can tell apart: the same nets of
// rules, network sets, host endpoints and Services hold all of them.
type Atom struct {
	// Addr is one of its addresses.
	Addr netip.Addr
	// Nets are the prefixes that it is of, most specific first, less what other
	// atoms have of them.
	Nets []netip.Prefix
	// Sets are the network sets that hold it, the most specific first, and Hosts
	// the host endpoints.
	Sets  []*policy.NetworkSet
	Hosts []*policy.HostEndpoint
	// size is how many addresses it has, about.
	size float64
}

// Atoms are all addresses, taken apart as far as resources tell them apart.
// The first ones are the internet: the addresses of each family that the
// fewest words name.
type Atoms struct {
	all []Atom
	// spans are sorted and cover both families.
	spans []span
}

// span is the addresses from one to before the next span's.
type span struct {
	from netip.Addr
	atom int32
}

// mention is a prefix and where it stands: two prefixes that stand at the same
// places are one.
type mention struct {
	prefix netip.Prefix
	owner  int32
}

// owner is what a mention stands in: a list of nets in a rule, a network set, a
// host endpoint, or one of a Service's backends.
type owner struct {
	set  *policy.NetworkSet
	host *policy.HostEndpoint
}

// NewAtoms takes the addresses apart as one or more snapshots do together.
func NewAtoms(snaps ...*policy.Snapshot) *Atoms {
	b := &atomizer{}
	for _, s := range snaps {
		b.snapshot(s)
	}
	for _, root := range []string{"0.0.0.0/0", "::/0"} {
		b.mention(b.owner(owner{}), netip.MustParsePrefix(root))
	}
	slices.SortFunc(b.mentions, func(x, y mention) int {
		return cmp.Or(x.prefix.Addr().Compare(y.prefix.Addr()), cmp.Compare(x.prefix.Bits(), y.prefix.Bits()), cmp.Compare(x.owner, y.owner))
	})
	b.mentions = slices.Compact(b.mentions)
	out := b.sweep()
	for f, at := range out.Internet() {
		for _, text := range examples[f] {
			if addr := netip.MustParseAddr(text); out.Atom(addr) == at {
				at.Addr = addr
				break
			}
		}
	}
	return out
}

// Of is the number of the atom that has an address; -1 for no address.
func (a *Atoms) Of(addr netip.Addr) int {
	if addr = addr.Unmap(); !addr.IsValid() {
		return -1
	}
	i, ok := slices.BinarySearchFunc(a.spans, addr, func(s span, addr netip.Addr) int { return s.from.Compare(addr) })
	if !ok {
		i--
	}
	return int(a.spans[i].atom)
}

// Atom is the atom that has an address, which must be valid.
func (a *Atoms) Atom(addr netip.Addr) *Atom { return &a.all[a.Of(addr)] }

// Internet is the biggest atom of each family, IPv4 first.
func (a *Atoms) Internet() []*Atom {
	best := [2]*Atom{}
	for i := range a.all {
		at := &a.all[i]
		f := family(at.Addr)
		if best[f] == nil || at.size > best[f].size {
			best[f] = at
		}
	}
	return best[:]
}

// examples are addresses that look like the internet's, which 0.0.0.0 does not:
// those for examples (RFC 5737, RFC 3849), and others for where a rule or a set
// names these. The first one that nothing names is taken.
var examples = [2][]string{
	{"203.0.113.1", "198.51.100.1", "192.0.2.1", "1.1.1.1", "8.8.8.8", "93.184.215.14", "151.101.1.69", "20.112.250.133"},
	{"2001:db8::1", "2606:4700::1", "2a00:1450::1", "2600::1"},
}

// In lists the atoms of one network set.
func (a *Atoms) In(set *policy.NetworkSet) []*Atom {
	var out []*Atom
	for i := range a.all {
		if slices.ContainsFunc(a.all[i].Sets, func(s *policy.NetworkSet) bool { return s.Key == set.Key }) {
			out = append(out, &a.all[i])
		}
	}
	return out
}
