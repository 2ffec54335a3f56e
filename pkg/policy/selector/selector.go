// Package selector is the selector language (S25): it parses selectors, prints
// their canonical form and matches labels.
//
// It knows nothing of policies: where a selector may be used, and what is in
// its scope, is not decided here.
package selector

import (
	"slices"
	"strings"
)

// Labels are the labels of an endpoint or a namespace.
type Labels map[string]string

// MaxLength is the longest selector, in characters, that Parse takes; the v3
// API has the same bound.
const MaxLength = 1024

// Selector is a parsed selector; safe for use by several goroutines. A nil
// Selector is all().
type Selector struct {
	root  node
	canon string
}

// op is what a node of the parsed tree does.
type op uint8

const (
	opAll op = iota
	opGlobal
	opHas
	opEq
	opNe
	opIn
	opNotIn
	opContains
	opStarts
	opEnds
	opNot
	opAnd
	opOr
)

// node is one operation. Comparisons have label and value, or the sorted
// values of a set; opNot has one kid, opAnd and opOr at least two.
type node struct {
	op     op
	label  string
	value  string
	values []string
	kids   []node
}

// Matches says whether labels satisfy the selector. It does not allocate.
func (s *Selector) Matches(l Labels) bool {
	return s == nil || s.root.matches(l)
}

func (n *node) matches(l Labels) bool {
	switch n.op {
	case opAll:
		return true
	case opGlobal:
		// global() is the set of things without a namespace; it is read by
		// Global, and no labels satisfy it.
		return false
	case opNot:
		return !n.kids[0].matches(l)
	case opAnd:
		for i := range n.kids {
			if !n.kids[i].matches(l) {
				return false
			}
		}
		return true
	case opOr:
		for i := range n.kids {
			if n.kids[i].matches(l) {
				return true
			}
		}
		return false
	}
	v, ok := l[n.label]
	return n.compare(v, ok)
}

// compare judges a label's value. An absent label makes the two negative
// comparisons true and every other one false (S25).
func (n *node) compare(v string, ok bool) bool {
	switch n.op {
	case opHas:
		return ok
	case opEq:
		return ok && v == n.value
	case opNe:
		return !ok || v != n.value
	case opIn:
		return ok && n.holds(v)
	case opNotIn:
		return !ok || !n.holds(v)
	case opContains:
		return ok && strings.Contains(v, n.value)
	case opStarts:
		return ok && strings.HasPrefix(v, n.value)
	case opEnds:
		return ok && strings.HasSuffix(v, n.value)
	}
	return false
}

// holds says whether v is in the node's set. Short sets are walked: that is
// faster than halving them.
func (n *node) holds(v string) bool {
	if len(n.values) > 8 {
		_, ok := slices.BinarySearch(n.values, v)
		return ok
	}
	for _, w := range n.values {
		if w == v {
			return true
		}
	}
	return false
}

// String is the canonical form (S25): sets sorted and without duplicates, "
// for quotes, the operands of a mixed and/or in parentheses. Parsing it gives
// the same selector with the same canonical form.
func (s *Selector) String() string {
	if s == nil {
		return "all()"
	}
	return s.canon
}

// Global says whether the selector is global(): what has no namespace (S16).
func (s *Selector) Global() bool { return s != nil && s.root.op == opGlobal }

// UsesGlobal says whether global() occurs anywhere in the selector, also as a
// part of a longer one, where it has no meaning.
func (s *Selector) UsesGlobal() bool { return s != nil && s.root.uses(opGlobal) }

func (n *node) uses(o op) bool {
	return n.op == o || slices.ContainsFunc(n.kids, func(k node) bool { return k.uses(o) })
}

// All says whether the selector is all() and so matches any labels.
func (s *Selector) All() bool { return s == nil || s.root.op == opAll }

// LabelNames are the names of the labels that the selector looks at, sorted
// and without duplicates: labels of other names never change what it matches.
func (s *Selector) LabelNames() []string {
	if s == nil {
		return nil
	}
	names := s.root.labelNames(nil)
	slices.Sort(names)
	return slices.Compact(names)
}

func (n *node) labelNames(to []string) []string {
	if n.label != "" {
		to = append(to, n.label)
	}
	for i := range n.kids {
		to = n.kids[i].labelNames(to)
	}
	return to
}

// Values reads a selector that does nothing but list the values of one label:
// label == "a", label in {"a", "b"}, or several of those joined by ||. The
// values are sorted; ok is false for any other selector.
func (s *Selector) Values(label string) (values []string, ok bool) {
	if s == nil {
		return nil, false
	}
	values, ok = s.root.valuesOf(label, nil)
	if !ok {
		return nil, false
	}
	slices.Sort(values)
	return slices.Compact(values), true
}

func (n *node) valuesOf(label string, to []string) ([]string, bool) {
	switch {
	case n.op == opEq && n.label == label:
		return append(to, n.value), true
	case n.op == opIn && n.label == label:
		return append(to, n.values...), true
	case n.op == opOr:
		for i := range n.kids {
			var ok bool
			if to, ok = n.kids[i].valuesOf(label, to); !ok {
				return nil, false
			}
		}
		return to, true
	}
	return nil, false
}
