//go:build linux

package nft

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// changes is what turns one ruleset into another.
type changes struct {
	newChains, changedChains, goneChains []*ruleset.Chain
	newSets, goneSets                    []*ruleset.Set
	changedSets                          []setChange
	// rebuild: something changed that the kernel can't change in place.
	rebuild bool
}

type setChange struct {
	set      *ruleset.Set
	del, add []ruleset.Element
}

// diff compares two rulesets, both sorted by name as Ruleset promises (base
// chains first). What is the same pointer is the same.
func diff(from, to *ruleset.Ruleset) changes {
	var c changes
	c.goneChains = compareLists(from.Chains, to.Chains, func(c *ruleset.Chain) string { return c.Name },
		func(old, chain *ruleset.Chain) {
			switch {
			case old == nil:
				c.newChains = append(c.newChains, chain)
			case !same(old.Hook, chain.Hook):
				c.rebuild = true
			case !sameRules(old.Rules, chain.Rules):
				c.changedChains = append(c.changedChains, chain)
			}
		})
	c.goneSets = compareLists(from.Sets, to.Sets, func(s *ruleset.Set) string { return s.Name }, c.set)
	return c
}

// compareLists calls each for what is new in a list (old is nil then) and for what
// is there again but not the same pointer, and returns what is gone.
func compareLists[T any](from, to []*T, name func(*T) string, each func(old, now *T)) (gone []*T) {
	olds := make(map[string]*T, len(from))
	for _, old := range from {
		olds[name(old)] = old
	}
	for _, now := range to {
		old := olds[name(now)]
		if delete(olds, name(now)); old != now {
			each(old, now)
		}
	}
	for _, old := range from {
		if _, left := olds[name(old)]; left {
			gone = append(gone, old)
		}
	}
	return gone
}

func (c *changes) set(old, set *ruleset.Set) {
	switch {
	case old == nil:
		c.newSets = append(c.newSets, set)
	case !sameLayout(old, set):
		c.rebuild = true
	case set.External:
	default:
		del, add := diffElements(old.Elements, set.Elements)
		if len(del)+len(add) > 0 {
			c.changedSets = append(c.changedSets, setChange{set, del, add})
		}
	}
}

func (c *changes) empty() bool {
	return len(c.newChains)+len(c.changedChains)+len(c.goneChains)+
		len(c.newSets)+len(c.goneSets)+len(c.changedSets) == 0
}

// diffElements merges two sorted lists. An element whose verdict changed is
// deleted and added.
func diffElements(from, to []ruleset.Element) (del, add []ruleset.Element) {
	if len(from) == len(to) && (len(from) == 0 || &from[0] == &to[0]) {
		return nil, nil
	}
	for len(from) > 0 && len(to) > 0 {
		switch order := compareElements(&from[0], &to[0]); {
		case order < 0:
			del, from = append(del, from[0]), from[1:]
		case order > 0:
			add, to = append(add, to[0]), to[1:]
		default:
			if from[0].Verdict != to[0].Verdict {
				del, add = append(del, from[0]), append(add, to[0])
			}
			from, to = from[1:], to[1:]
		}
	}
	return append(del, from...), append(add, to...)
}

func compareElements(a, b *ruleset.Element) int {
	if c := cmp.Compare(a.Key, b.Key); c != 0 {
		return c
	}
	return cmp.Compare(a.KeyEnd, b.KeyEnd)
}

// same compares what two pointers, either of which may be nil, point to.
func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func sameLayout(a, b *ruleset.Set) bool {
	return a.Interval == b.Interval && a.Map == b.Map && a.Timeout == b.Timeout &&
		a.External == b.External && slices.Equal(a.Fields, b.Fields)
}

func sameRules(a, b []ruleset.Rule) bool {
	if len(a) != len(b) {
		return false
	}
	if len(a) == 0 || &a[0] == &b[0] {
		return true
	}
	for i := range a {
		if !sameRule(&a[i], &b[i]) {
			return false
		}
	}
	return true
}

func sameRule(a, b *ruleset.Rule) bool {
	return a.Counter == b.Counter && a.NoTrack == b.NoTrack && a.Verdict == b.Verdict &&
		a.Comment == b.Comment && same(a.Log, b.Log) && same(a.Limit, b.Limit) && sameVMap(a.VMap, b.VMap) &&
		slices.EqualFunc(a.Matches, b.Matches, sameMatch)
}

func sameVMap(a, b *ruleset.VMap) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Map == b.Map && slices.Equal(a.Fields, b.Fields)
}

func sameMatch(a, b ruleset.Match) bool {
	return a.Op == b.Op && a.Set == b.Set && a.Invert == b.Invert &&
		slices.Equal(a.Fields, b.Fields) && bytes.Equal(a.Value, b.Value) && bytes.Equal(a.Mask, b.Mask)
}
