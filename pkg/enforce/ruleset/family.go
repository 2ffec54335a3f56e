package ruleset

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// family is what differs between IPv4 and IPv6.
type family struct {
	index        int // into arrays by family
	suffix       string
	nfproto      byte
	saddr, daddr Field
	bits         int
	bytes        int
}

var families = [2]family{
	{index: 0, suffix: "4", nfproto: 2, saddr: SAddr4, daddr: DAddr4, bits: 32, bytes: 4},
	{index: 1, suffix: "6", nfproto: 10, saddr: SAddr6, daddr: DAddr6, bits: 128, bytes: 16},
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// is matches packets of the family. Rules that look at addresses start with it:
// in a table for both families the kernel itself does not check.
func (f *family) is() Match { return Match{Fields: []Field{NFProto}, Value: []byte{f.nfproto}} }

// contradicts says that m matches packets of the other family only.
func (f *family) contradicts(m Match) bool {
	return len(m.Fields) == 1 && m.Fields[0] == NFProto && m.Set == "" && m.Value[0] != f.nfproto
}

func (f *family) first() netip.Addr {
	if f.index == 0 {
		return netip.AddrFrom4([4]byte{})
	}
	return netip.IPv6Unspecified()
}

func (f *family) last() netip.Addr {
	b := slices.Repeat([]byte{255}, f.bytes)
	a, _ := netip.AddrFromSlice(b)
	return a
}

// segment is a range of addresses that all nets in force treat alike: net is
// the most specific prefix that holds it (prefixes nest, so that tells all),
// or -1.
type segment struct {
	lo, hi netip.Addr
	net    int
}

// cut splits the family's addresses at the borders of nets, which are sorted
// by address and length. At least one segment comes back; together they cover
// everything, in order.
func (f *family) cut(nets []netip.Prefix) []segment {
	var out []segment
	next := f.first() // first address not yet in a segment
	full := false
	emit := func(hi netip.Addr, net int) {
		if full || hi.Less(next) {
			return
		}
		out = append(out, segment{next, hi, net})
		if next = hi.Next(); !next.IsValid() {
			full = true
		}
	}
	var open []int // nested prefixes that hold next, outermost first
	closeUntil := func(a netip.Addr) {
		for len(open) > 0 {
			inner := open[len(open)-1]
			if end := policy.LastAddr(nets[inner]); end.Less(a) {
				emit(end, inner)
				open = open[:len(open)-1]
				continue
			}
			return
		}
	}
	for i, p := range nets {
		lo := p.Masked().Addr()
		closeUntil(lo)
		outer := -1
		if len(open) > 0 {
			outer = open[len(open)-1]
		}
		if next.Less(lo) {
			emit(lo.Prev(), outer)
		}
		open = append(open, i)
	}
	for len(open) > 0 {
		inner := open[len(open)-1]
		emit(policy.LastAddr(nets[inner]), inner)
		open = open[:len(open)-1]
	}
	emit(f.last(), -1)
	return out
}

// find is the index of the segment that holds a.
func find(segments []segment, a netip.Addr) int {
	i, _ := slices.BinarySearchFunc(segments, a, func(s segment, a netip.Addr) int { return s.hi.Compare(a) })
	return i
}

// netsOf keeps the prefixes of the family.
func (f *family) netsOf(nets []netip.Prefix) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range nets {
		if p.IsValid() && familyOf(p.Addr()) == f.index {
			out = append(out, p.Masked())
		}
	}
	slices.SortFunc(out, func(a, b netip.Prefix) int {
		if d := a.Addr().Compare(b.Addr()); d != 0 {
			return d
		}
		return a.Bits() - b.Bits()
	})
	return slices.Compact(out)
}
