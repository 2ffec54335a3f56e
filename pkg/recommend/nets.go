package recommend

import (
	"cmp"
	"net/netip"
	"slices"
)

// NetBounds bounds the nets that addresses outside are written as. Zero values
// stand for the defaults.
type NetBounds struct {
	// Max is how many nets the rules of one direction may have for one protocol
	// and set of ports, for each family.
	Max int
	// Widest4 and Widest6 are the shortest prefixes that addresses are merged
	// to, where they are more than Max.
	Widest4, Widest6 int
}

// The default bounds: one rule's nets, and what one site mostly has.
const (
	DefaultMaxNets = maxNets
	DefaultWidest4 = 24
	DefaultWidest6 = 64
)

// bounded fills in the defaults. Where exactness is asked for nothing is merged
// and nothing left out: there are as many rules as it takes.
func (w *Write) bounded() NetBounds {
	if w.Exact {
		return NetBounds{Max: maxNets * maxRules, Widest4: 32, Widest6: 128}
	}
	b := w.Nets
	b.Max = cmp.Or(b.Max, DefaultMaxNets)
	b.Widest4, b.Widest6 = cmp.Or(b.Widest4, DefaultWidest4), cmp.Or(b.Widest6, DefaultWidest6)
	return b
}

// fit makes at most so many nets of some, merged no wider than the bound allows:
// those first that are closest, so that as little as possible is let in. There
// may be more left than the bound allows.
func (b NetBounds) fit(nets []netip.Prefix) []netip.Prefix {
	nets = aggregate(nets)
	if len(nets) <= b.Max {
		return nets
	}
	widest := b.Widest4
	if nets[0].Addr().Is6() {
		widest = b.Widest6
	}
	for bits := nets[0].Addr().BitLen() - 1; bits >= widest && len(nets) > b.Max; bits-- {
		nets = mergeAt(nets, bits, b.Max)
	}
	return nets
}

// mergeAt joins neighbours that have so many bits in common, until there are few
// enough.
func mergeAt(nets []netip.Prefix, bits, enough int) []netip.Prefix {
	left := len(nets)
	out := nets[:0:0]
	for _, n := range nets {
		if k := len(out) - 1; k >= 0 && left > enough && n.Bits() > bits {
			if parent := netip.PrefixFrom(n.Addr(), bits).Masked(); parent.Contains(out[k].Addr()) {
				out[k] = parent
				left--
				continue
			}
		}
		out = append(out, n)
	}
	return out
}

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
