package policy

import (
	"cmp"
	"slices"
	"strings"
)

// series is all resources of one type: raw in the order in which they were
// given, all sorted, and unique without those whose key is taken. From one
// snapshot to the next nearly everything is the same, so a series is made from
// the one before: what changed lies in one short stretch of raw, and only that
// is sorted and merged in.
type series[T any] struct {
	raw    []*T
	all    []*T
	unique []*T
	twice  [][2]*T // values with one key: the one that counts, the one left out
}

// sortedBy tells how a type is sorted: by key and then, so that it does not
// depend on the order given which of two counts, by place.
type sortedBy[T any] struct {
	key    func(a, b *T) int
	origin func(*T) Origin
}

func (o sortedBy[T]) compare(a, b *T) int {
	if c := o.key(a, b); c != 0 {
		return c
	}
	return compareOrigins(o.origin(a), o.origin(b))
}

func compareOrigins(a, b Origin) int {
	return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// next makes the series of raw. Where nothing changed it is s itself.
func (s *series[T]) next(raw []*T, by sortedBy[T]) *series[T] {
	if s == nil {
		s = &series[T]{}
	}
	head := 0
	for head < len(raw) && head < len(s.raw) && raw[head] == s.raw[head] {
		head++
	}
	if head == len(raw) && head == len(s.raw) {
		return s
	}
	tail := 0
	for tail < len(raw)-head && tail < len(s.raw)-head && raw[len(raw)-1-tail] == s.raw[len(s.raw)-1-tail] {
		tail++
	}
	gone, come := s.raw[head:len(s.raw)-tail], slices.Clone(raw[head:len(raw)-tail])
	if !slices.IsSortedFunc(come, by.compare) {
		slices.SortStableFunc(come, by.compare)
	}
	out := &series[T]{raw: raw, all: mergeIn(without(s.all, gone), come, by.compare)}
	out.dedupe(by.key)
	return out
}

// without is a list less some of its members.
func without[T any](all, gone []*T) []*T {
	switch {
	case len(gone) == 0:
		return all
	case len(gone) == len(all):
		return nil
	}
	leave := make(map[*T]int, len(gone))
	for _, v := range gone {
		leave[v]++
	}
	out := make([]*T, 0, len(all)-len(gone))
	for i, v := range all {
		if len(leave) == 0 {
			return append(out, all[i:]...)
		}
		if leave[v] == 0 {
			out = append(out, v)
		} else if leave[v]--; leave[v] == 0 {
			delete(leave, v)
		}
	}
	return out
}

// mergeIn merges a sorted list that is mostly short into another.
func mergeIn[T any](all, come []*T, compare func(a, b *T) int) []*T {
	switch {
	case len(come) == 0:
		return all
	case len(all) == 0:
		return come
	}
	out := make([]*T, 0, len(all)+len(come))
	for _, v := range come {
		i, _ := slices.BinarySearchFunc(all, v, compare)
		out = append(append(out, all[:i]...), v)
		all = all[i:]
	}
	return append(out, all...)
}

// dedupe keeps the first of those with one key.
func (s *series[T]) dedupe(key func(a, b *T) int) {
	same := func(i int) bool { return key(s.all[i-1], s.all[i]) == 0 }
	s.unique = s.all
	first := 1
	for first < len(s.all) && !same(first) {
		first++
	}
	if first >= len(s.all) {
		return
	}
	s.unique = slices.Clone(s.all[:first])
	for i := first; i < len(s.all); i++ {
		if same(i) {
			s.twice = append(s.twice, [2]*T{s.unique[len(s.unique)-1], s.all[i]})
		} else {
			s.unique = append(s.unique, s.all[i])
		}
	}
}

func compareNames(ns1, name1, ns2, name2 string) int {
	if c := strings.Compare(ns1, ns2); c != 0 {
		return c
	}
	return strings.Compare(name1, name2)
}

// How each type is sorted.
var (
	byTier = sortedBy[Tier]{
		func(a, b *Tier) int { return strings.Compare(a.Name, b.Name) },
		func(v *Tier) Origin { return v.Origin },
	}
	byPolicy = sortedBy[Policy]{
		func(a, b *Policy) int { return a.Key.Compare(b.Key) },
		func(v *Policy) Origin { return v.Origin },
	}
	byNamespace = sortedBy[Namespace]{
		func(a, b *Namespace) int { return strings.Compare(a.Name, b.Name) },
		func(v *Namespace) Origin { return v.Origin },
	}
	byEndpoint = sortedBy[Endpoint]{
		func(a, b *Endpoint) int { return compareNames(a.Namespace, a.Name, b.Namespace, b.Name) },
		func(v *Endpoint) Origin { return v.Origin },
	}
	byService = sortedBy[Service]{
		func(a, b *Service) int { return compareNames(a.Namespace, a.Name, b.Namespace, b.Name) },
		func(v *Service) Origin { return v.Origin },
	}
	bySet = sortedBy[NetworkSet]{
		func(a, b *NetworkSet) int { return a.Key.Compare(b.Key) },
		func(v *NetworkSet) Origin { return v.Origin },
	}
	byHost = sortedBy[HostEndpoint]{
		func(a, b *HostEndpoint) int { return strings.Compare(a.Name, b.Name) },
		func(v *HostEndpoint) Origin { return v.Origin },
	}
	byNode = sortedBy[Node]{
		func(a, b *Node) int { return strings.Compare(a.Name, b.Name) },
		func(v *Node) Origin { return v.Origin },
	}
	byAccount = sortedBy[ServiceAccount]{
		func(a, b *ServiceAccount) int { return compareNames(a.Namespace, a.Name, b.Namespace, b.Name) },
		func(v *ServiceAccount) Origin { return v.Origin },
	}
	bySlice = sortedBy[Slice]{
		func(a, b *Slice) int { return a.Key.Compare(b.Key) },
		func(v *Slice) Origin { return v.Origin },
	}
	byTemplate = sortedBy[Template]{
		func(a, b *Template) int { return Key(a.Workload).Compare(Key(b.Workload)) },
		func(v *Template) Origin { return v.Origin },
	}
)
