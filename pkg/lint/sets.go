package lint

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

func contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

func inNet(n netip.Prefix, list []netip.Prefix) bool {
	return slices.ContainsFunc(list, func(o netip.Prefix) bool { return contains(o, n) })
}

func allNets(nets, within []netip.Prefix) bool {
	return !slices.ContainsFunc(nets, func(n netip.Prefix) bool { return !inNet(n, within) })
}

// within says whether ports lie in those of a list, which may adjoin.
func within(p policy.PortRange, list []policy.PortRange) bool {
	at := int(p.Min)
	for range list {
		i := slices.IndexFunc(list, func(o policy.PortRange) bool { return int(o.Min) <= at && at <= int(o.Max) })
		if i < 0 {
			return false
		}
		if at = int(list[i].Max) + 1; at > int(p.Max) {
			return true
		}
	}
	return false
}

func allPorts(list, in []policy.PortRange) bool {
	return !slices.ContainsFunc(list, func(p policy.PortRange) bool { return !within(p, in) })
}

func overlap(a, b policy.PortRange) bool { return a.Min <= b.Max && b.Min <= a.Max }

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}
