package ruleset

import (
	"slices"
)

// keepSet is old if it says the same as s, else s, with old's elements if
// those are the same.
func keepSet(old, s *Set) *Set {
	if old == nil || !sameElements(old.Elements, s.Elements) {
		return s
	}
	if sameSet(old, s) {
		return old
	}
	s.Elements = old.Elements
	return s
}

// sameSet says whether two sets, either of which may be nil, say the same.
func sameSet(a, b *Set) bool {
	if a == nil || b == nil || a == b {
		return a == b
	}
	return a.Name == b.Name && slices.Equal(a.Fields, b.Fields) && a.Interval == b.Interval && a.Map == b.Map &&
		a.Timeout == b.Timeout && a.External == b.External && a.Comment == b.Comment && sameElements(a.Elements, b.Elements)
}

func sameElements(a, b []Element) bool {
	if len(a) != len(b) {
		return false
	}
	return len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b)
}

// keepChain is old if it says the same as c, else c.
func keepChain(old, c *Chain) *Chain {
	if old == nil || c == nil || old.Name != c.Name || old.Comment != c.Comment || len(old.Rules) != len(c.Rules) ||
		!equalOrNil(old.Hook, c.Hook) {
		return c
	}
	for i := range c.Rules {
		if !sameRule(&old.Rules[i], &c.Rules[i]) {
			return c
		}
	}
	return old
}

func equalOrNil[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func sameRule(a, b *Rule) bool {
	sameMap := a.VMap == b.VMap ||
		a.VMap != nil && b.VMap != nil && a.VMap.Map == b.VMap.Map && slices.Equal(a.VMap.Fields, b.VMap.Fields)
	return sameMap && a.Counter == b.Counter && a.NoTrack == b.NoTrack && a.Verdict == b.Verdict &&
		a.Comment == b.Comment && equalOrNil(a.Log, b.Log) && equalOrNil(a.Limit, b.Limit) && slices.EqualFunc(a.Matches, b.Matches, sameMatch)
}

func sameMatch(a, b Match) bool {
	return slices.Equal(a.Fields, b.Fields) && a.Op == b.Op && slices.Equal(a.Value, b.Value) &&
		slices.Equal(a.Mask, b.Mask) && a.Set == b.Set && a.Invert == b.Invert
}

// keepAll takes over what says the same from last time.
func keepAll[T any](old, now []*T, name func(*T) string, keep func(old, now *T) *T) []*T {
	byName := make(map[string]*T, len(old))
	for _, o := range old {
		byName[name(o)] = o
	}
	for i, n := range now {
		now[i] = keep(byName[name(n)], n)
	}
	return now
}
