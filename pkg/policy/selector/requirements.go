package selector

import "slices"

// Requirement is one expression of a Kubernetes label selector: Operator is In,
// NotIn, Exists or DoesNotExist; the last two have no Values.
type Requirement struct {
	Label    string
	Operator string
	Values   []string
}

// Requirements takes a selector apart that a Kubernetes label selector can say:
// comparisons of labels with values, has and !has, joined by &&. All of them
// must hold; all() has none. ok is false for any other selector.
func (s *Selector) Requirements() (reqs []Requirement, ok bool) {
	if s.All() {
		return nil, true
	}
	parts := []node{s.root}
	if s.root.op == opAnd {
		parts = s.root.kids
	}
	for i := range parts {
		r, ok := parts[i].requirement()
		if !ok {
			return nil, false
		}
		reqs = append(reqs, r)
	}
	return reqs, true
}

func (n *node) requirement() (Requirement, bool) {
	switch n.op {
	case opEq:
		return Requirement{n.label, "In", []string{n.value}}, true
	case opIn:
		return Requirement{n.label, "In", slices.Clone(n.values)}, true
	case opNe:
		return Requirement{n.label, "NotIn", []string{n.value}}, true
	case opNotIn:
		return Requirement{n.label, "NotIn", slices.Clone(n.values)}, true
	case opHas:
		return Requirement{n.label, "Exists", nil}, true
	case opNot:
		if n.kids[0].op == opHas {
			return Requirement{n.kids[0].label, "DoesNotExist", nil}, true
		}
	}
	return Requirement{}, false
}

// Alternatives are the operands of a selector that joins others by ||; any other
// selector is its only alternative.
func (s *Selector) Alternatives() []*Selector {
	if s == nil || s.root.op != opOr {
		return []*Selector{s}
	}
	out := make([]*Selector, len(s.root.kids))
	for i := range s.root.kids {
		out[i] = finish(s.root.kids[i])
	}
	return out
}
