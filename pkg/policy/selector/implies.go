package selector

import (
	"slices"
	"strings"
)

// Implies says whether every set of labels that satisfies a satisfies b, too.
// True is certain. False means no, or that the words alone do not show it:
// the question is hard in general, and this looks at the form of both only.
func Implies(a, b *Selector) bool {
	if b.All() || a.String() == b.String() {
		return true
	}
	if a == nil || a.UsesGlobal() || b.UsesGlobal() {
		return false
	}
	p := prover{steps: maxProofSteps}
	return p.implies(&a.root, &b.root)
}

// maxProofSteps ends the search for a proof in selectors that are nested on
// purpose.
const maxProofSteps = 10_000

type prover struct{ steps int }

func (p *prover) implies(a, b *node) bool {
	if p.steps--; p.steps < 0 {
		return false
	}
	each := func(kids []node, proves func(k *node) bool) bool {
		return !slices.ContainsFunc(kids, func(k node) bool { return !proves(&k) })
	}
	some := func(kids []node, proves func(k *node) bool) bool {
		return slices.ContainsFunc(kids, func(k node) bool { return proves(&k) })
	}
	switch {
	case b.op == opAll:
		return true
	case b.op == opAnd:
		return each(b.kids, func(k *node) bool { return p.implies(a, k) })
	case a.op == opOr:
		return each(a.kids, func(k *node) bool { return p.implies(k, b) })
	case a.op == opNot && b.op == opNot:
		return p.implies(&b.kids[0], &a.kids[0])
	case a.op == opNot && a.kids[0].op == opHas:
		return p.withoutLabel(a.kids[0].label, b)
	case b.op == opNot && excludes(a, &b.kids[0]):
		return true
	}
	if a.op == opAnd && some(a.kids, func(k *node) bool { return p.implies(k, b) }) {
		return true
	}
	if b.op == opOr && some(b.kids, func(k *node) bool { return p.implies(a, k) }) {
		return true
	}
	return a.label != "" && a.label == b.label && atomImplies(a, b)
}

// withoutLabel says whether b holds for all that lack the label.
func (p *prover) withoutLabel(label string, b *node) bool {
	switch b.op {
	case opNe, opNotIn:
		return b.label == label
	case opOr:
		return slices.ContainsFunc(b.kids, func(k node) bool { return p.withoutLabel(label, &k) })
	}
	return false
}

// excludes says whether what satisfies the comparison a can't satisfy b.
func excludes(a, b *node) bool {
	if a.label == "" || a.label != b.label {
		return false
	}
	switch b.op {
	case opHas, opAll, opNe, opNotIn, opAnd, opOr, opNot, opGlobal:
		return false
	}
	list, ok := a.only()
	return ok && !slices.ContainsFunc(list, func(v string) bool { return b.compare(v, true) })
}

// only are the values that a label has where the comparison holds, if it says.
func (n *node) only() (values []string, ok bool) {
	switch n.op {
	case opEq:
		return []string{n.value}, true
	case opIn:
		return n.values, true
	}
	return nil, false
}

// not are the values that a label can't have where the comparison holds.
func (n *node) not() (values []string, ok bool) {
	switch n.op {
	case opNe:
		return []string{n.value}, true
	case opNotIn:
		return n.values, true
	}
	return nil, false
}

// atomImplies compares two comparisons of one label.
func atomImplies(a, b *node) bool {
	if list, ok := a.only(); ok {
		return !slices.ContainsFunc(list, func(v string) bool { return !b.compare(v, true) })
	}
	if list, ok := a.not(); ok {
		other, ok := b.not()
		return ok && !slices.ContainsFunc(other, func(v string) bool { return !slices.Contains(list, v) })
	}
	switch {
	case b.op == opHas: // every comparison that is left needs the label
		return true
	case a.op == opStarts && b.op == opStarts:
		return strings.HasPrefix(a.value, b.value)
	case a.op == opEnds && b.op == opEnds:
		return strings.HasSuffix(a.value, b.value)
	case (a.op == opStarts || a.op == opEnds || a.op == opContains) && b.op == opContains:
		return strings.Contains(a.value, b.value)
	}
	return a.op == b.op && a.value == b.value
}

// Equality is label == "value".
type Equality struct{ Label, Value string }

// Equalities are comparisons that hold for all that the selector matches:
// label == "value" alone or joined to others by &&.
func (s *Selector) Equalities() []Equality {
	if s == nil {
		return nil
	}
	switch s.root.op {
	case opEq:
		return []Equality{{s.root.label, s.root.value}}
	case opAnd:
		var out []Equality
		for i := range s.root.kids {
			if k := &s.root.kids[i]; k.op == opEq {
				out = append(out, Equality{k.label, k.value})
			}
		}
		return out
	}
	return nil
}
