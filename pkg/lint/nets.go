package lint

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// netsCovered finds nets that lie in another one of their list.
func (r *run) netsCovered() {
	r.eachRule(func(p *policy.Policy, _ policy.Direction, rule *policy.Rule, field string) {
		for _, s := range sides(rule, field) {
			r.warnNets(p.Key, p.Origin, s.field+".nets", s.Nets)
			r.warnNets(p.Key, p.Origin, s.field+".notNets", s.NotNets)
		}
	})
	for _, set := range r.snap.NetworkSets {
		r.warnNets(set.Key, set.Origin, "spec.nets", set.Nets)
	}
}

func (r *run) warnNets(key policy.Key, at policy.Origin, field string, nets []netip.Prefix) {
	inner, outer, more := nested(nets)
	if !inner.IsValid() {
		return
	}
	f := policy.Fault{Key: key, Origin: at, Warning: true, Code: "net-covered", Field: field, Value: inner.String(),
		Reason: "the net lies in " + outer.String() + " of the same list", Fix: "remove one of them"}
	if inner == outer {
		f.Reason = "the net is given twice"
	}
	if more > 0 {
		f.Reason += fmt.Sprintf("; so do %d others", more)
	}
	r.faults = append(r.faults, f)
}

// nested finds a net that lies in another, and counts how many more do.
func nested(nets []netip.Prefix) (inner, outer netip.Prefix, more int) {
	if len(nets) < 2 {
		return
	}
	sorted := slices.Clone(nets)
	slices.SortFunc(sorted, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	last := sorted[0]
	for _, n := range sorted[1:] {
		switch {
		case !contains(last, n):
			last = n
		case inner.IsValid():
			more++
		default:
			inner, outer = n, last
		}
	}
	return
}
