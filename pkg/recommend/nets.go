package recommend

import (
	"net/netip"
	"slices"
)

// aggregate joins nets into larger ones where these hold nothing else: the
// result covers the same addresses. It is sorted.
func aggregate(nets []netip.Prefix) []netip.Prefix {
	nets = slices.Clone(nets)
	slices.SortFunc(nets, netip.Prefix.Compare)
	var out []netip.Prefix
	for _, n := range slices.Compact(nets) {
		if len(out) > 0 && out[len(out)-1].Overlaps(n) {
			continue // sorted: the last one is the larger
		}
		out = append(out, n)
		for len(out) > 1 {
			a, b := out[len(out)-2], out[len(out)-1]
			parent := netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
			if a.Bits() != b.Bits() || a.Bits() == 0 || a == b || parent.Addr() != a.Addr() || !parent.Contains(b.Addr()) {
				break
			}
			out = append(out[:len(out)-2], parent)
		}
	}
	return out
}
