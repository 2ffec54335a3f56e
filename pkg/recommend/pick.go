package recommend

import (
	"maps"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// pick is a selector for one workload in its namespace: labels that must have
// a value, and labels that must be absent.
type pick struct {
	equal []label
	lacks []string
}

type label struct{ name, value string }

func (p pick) empty() bool { return len(p.equal) == 0 }

// text tells picks apart; equal ones have equal text.
func (p pick) text() string {
	var b strings.Builder
	for _, e := range p.equal {
		b.WriteString(e.name + "=" + e.value + " ")
	}
	for _, n := range p.lacks {
		b.WriteString("!" + n + " ")
	}
	return b.String()
}

func (p pick) matches(l selector.Labels) bool {
	for _, e := range p.equal {
		if v, ok := l[e.name]; !ok || v != e.value {
			return false
		}
	}
	for _, n := range p.lacks {
		if _, ok := l[n]; ok {
			return false
		}
	}
	return true
}

func (p pick) selector() *selector.Selector {
	parts := make([]*selector.Selector, 0, len(p.equal)+len(p.lacks))
	for _, e := range p.equal {
		parts = append(parts, selector.Eq(e.name, e.value))
	}
	for _, n := range p.lacks {
		parts = append(parts, selector.Not(selector.Has(n)))
	}
	return selector.And(parts...)
}

// choose is the smallest of the label sets that none of the others has; of
// equally small ones the most usual labels. A version alone is none of them, since
// the next workload may have it too, unless there is nothing else. If even all of
// them together pick some of the others, it is all of them.
func choose(labels []label, others []*policy.Endpoint) pick {
	anyName := slices.ContainsFunc(labels, label.names)
	exact := func(set []label) bool {
		p := pick{equal: set}
		return (!anyName || slices.ContainsFunc(set, label.names)) && !slices.ContainsFunc(others, func(ep *policy.Endpoint) bool { return p.matches(ep.Labels) })
	}
	for size := 1; size <= min(3, len(labels)); size++ {
		if set := firstSubset(labels, nil, size, exact); set != nil {
			return pick{equal: set}
		}
	}
	// More than three: leave out, from the least usual on, what is not needed.
	set := slices.Clone(labels)
	whole := exact(set)
	for i := len(set) - 1; i >= 0 && whole && len(set) > 1; i-- {
		if fewer := slices.Delete(slices.Clone(set), i, i+1); exact(fewer) {
			set = fewer
		}
	}
	return pick{equal: set}
}

// firstSubset is the first subset of so many labels that is ok, in the order
// of the labels; nil if there is none.
func firstSubset(labels, chosen []label, size int, ok func([]label) bool) []label {
	if size == 0 {
		if ok(chosen) {
			return slices.Clone(chosen)
		}
		return nil
	}
	for i := range labels {
		if set := firstSubset(labels[i+1:], append(chosen, labels[i]), size-1, ok); set != nil {
			return set
		}
	}
	return nil
}

// withAbsent tells own from others by labels that own does not have: the
// smallest of the sets that shared labels and absent ones make. If that does
// not do, p is returned as it was.
func withAbsent(p pick, own, others []*policy.Endpoint) pick {
	if p.empty() {
		return p
	}
	var absent []string
	for _, ep := range others {
		if !p.matches(ep.Labels) {
			continue
		}
		name, ok := extraLabel(ep, own)
		if !ok {
			return p
		}
		absent = append(absent, name)
	}
	slices.Sort(absent)
	absent = slices.Compact(absent)
	// The labels that are needed beside the absent ones.
	best := pick{equal: p.equal, lacks: absent}
	for i := len(best.equal) - 1; i >= 0 && len(best.equal) > 1; i-- {
		fewer := pick{equal: slices.Delete(slices.Clone(best.equal), i, i+1), lacks: absent}
		if !slices.ContainsFunc(others, func(ep *policy.Endpoint) bool { return fewer.matches(ep.Labels) }) {
			best = fewer
		}
	}
	return best
}

// extraLabel is a stable label of ep that none of own has.
func extraLabel(ep *policy.Endpoint, own []*policy.Endpoint) (string, bool) {
	for _, name := range slices.Sorted(maps.Keys(ep.Labels)) {
		if !stable(name) {
			continue
		}
		if !slices.ContainsFunc(own, func(o *policy.Endpoint) bool { _, ok := o.Labels[name]; return ok }) {
			return name, true
		}
	}
	return "", false
}
