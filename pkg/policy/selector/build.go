package selector

import (
	"slices"
	"strings"
)

// finish makes a Selector of a tree.
func finish(root node) *Selector {
	s := &Selector{root: root}
	s.canon = canon(&s.root)
	return s
}

// All is all(), which every set of labels satisfies.
func All() *Selector { return finish(node{op: opAll}) }

// Eq is label == "value". Label and value must be ones that the language can
// write (as all Kubernetes labels are), or else the selector's String can't be
// parsed again; it matches correctly in any case.
func Eq(label, value string) *Selector {
	return finish(node{op: opEq, label: clone(label), value: clone(value)})
}

// In is label in {values}; with one value it is Eq.
func In(label string, values ...string) *Selector {
	set := makeSet(values)
	if len(set) == 1 {
		return Eq(label, set[0])
	}
	return finish(node{op: opIn, label: clone(label), values: set})
}

// NotIn is label not in {values}, which is true where the label is absent.
func NotIn(label string, values ...string) *Selector {
	return finish(node{op: opNotIn, label: clone(label), values: makeSet(values)})
}

// Has is has(label).
func Has(label string) *Selector { return finish(node{op: opHas, label: clone(label)}) }

// Not is !s.
func Not(s *Selector) *Selector {
	return finish(node{op: opNot, kids: []node{s.tree()}})
}

// And joins selectors with &&; all() is left out, and with nothing to join the
// result is all().
func And(parts ...*Selector) *Selector {
	var kids []node
	for _, p := range parts {
		if !p.All() {
			kids = append(kids, p.tree())
		}
	}
	return finish(join(opAnd, kids))
}

// Or joins selectors with ||; with nothing to join it matches nothing.
func Or(parts ...*Selector) *Selector {
	var kids []node
	for _, p := range parts {
		kids = append(kids, p.tree())
	}
	if len(kids) == 0 {
		return Not(nil)
	}
	return finish(join(opOr, kids))
}

func (s *Selector) tree() node {
	if s == nil {
		return node{op: opAll}
	}
	return s.root
}

// join makes one node of several operands and takes in operands that are of
// the same operation themselves: (a && b) && c is a && b && c.
func join(o op, kids []node) node {
	switch len(kids) {
	case 0:
		return node{op: opAll}
	case 1:
		return kids[0]
	}
	flat := make([]node, 0, len(kids))
	for _, k := range kids {
		if k.op == o {
			flat = append(flat, k.kids...)
		} else {
			flat = append(flat, k)
		}
	}
	return node{op: o, kids: flat}
}

// makeSet copies, sorts and deduplicates.
func makeSet(values []string) []string {
	set := make([]string, len(values))
	for i, v := range values {
		set[i] = clone(v)
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// clone keeps a selector from holding the whole document that it was read from.
func clone(s string) string { return strings.Clone(s) }
