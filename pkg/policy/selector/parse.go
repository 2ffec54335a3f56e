package selector

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxLabel is the longest label name, in characters.
const maxLabel = 512

// What the parser asks for, as errors word it.
const (
	wantOperand  = "a label, has(), all(), global(), ! or ("
	wantOperator = "==, !=, in, not in, contains, starts with or ends with"
	wantString   = "a string in quotes"
	wantJoin     = "&&, || or the end"
	wantClose    = "&&, || or )"
)

// Parse reads a selector. The error is an *Error with column and expectation.
// The empty selector is all(). The result holds no part of s.
func Parse(s string) (*Selector, error) {
	if n := utf8.RuneCountInString(s); n > MaxLength {
		return nil, &Error{Input: s, Column: MaxLength + 1,
			Expected: fmt.Sprintf("the end after at most %d characters", MaxLength),
			Found:    fmt.Sprintf("%d characters", n)}
	}
	p := parser{in: s}
	p.space()
	if p.rest() == "" {
		return All(), nil
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.rest() != "" {
		return nil, p.fail(wantJoin)
	}
	return finish(root), nil
}

// MustParse is Parse for selectors that are known to be right; it panics on
// others.
func MustParse(s string) *Selector {
	sel, err := Parse(s)
	if err != nil {
		panic(fmt.Sprintf("selector %q: %v", s, err))
	}
	return sel
}

func (p *parser) or() (node, error) { return p.chain(opOr, "||", p.and) }

func (p *parser) and() (node, error) { return p.chain(opAnd, "&&", p.unary) }

// chain parses operands joined by one operator.
func (p *parser) chain(o op, tok string, operand func() (node, error)) (node, error) {
	first, err := operand()
	if err != nil {
		return node{}, err
	}
	kids := []node{first}
	for p.take(tok) {
		k, err := operand()
		if err != nil {
			return node{}, err
		}
		kids = append(kids, k)
	}
	return join(o, kids), nil
}

func (p *parser) unary() (node, error) {
	if p.take("!") {
		k, err := p.unary()
		if err != nil {
			return node{}, err
		}
		return node{op: opNot, kids: []node{k}}, nil
	}
	if p.take("(") {
		n, err := p.or()
		if err != nil {
			return node{}, err
		}
		if !p.take(")") {
			return node{}, p.fail(wantClose)
		}
		return n, nil
	}
	w := p.word()
	if w == "" {
		return node{}, p.fail(wantOperand)
	}
	start := p.pos
	p.take(w)
	// all, global and has are labels too, unless a parenthesis follows.
	if strings.HasPrefix(p.rest(), "(") {
		return p.call(w, start)
	}
	if len(w) > maxLabel {
		p.pos = start
		return node{}, p.fail(fmt.Sprintf("a label of at most %d characters", maxLabel))
	}
	return p.comparison(w)
}

// call parses all(), global() and has(label); the cursor is at the parenthesis.
func (p *parser) call(name string, start int) (node, error) {
	n := node{}
	switch name {
	case "all":
		n.op = opAll
	case "global":
		n.op = opGlobal
	case "has":
		n.op = opHas
	default:
		p.pos = start
		return node{}, p.fail("has(), all() or global()")
	}
	p.take("(")
	if n.op == opHas {
		w := p.word()
		if w == "" || len(w) > maxLabel {
			return node{}, p.fail(fmt.Sprintf("a label of 1 to %d characters", maxLabel))
		}
		p.take(w)
		n.label = clone(w)
	}
	if !p.take(")") {
		return node{}, p.fail(")")
	}
	return n, nil
}

// comparison parses what follows a label.
func (p *parser) comparison(label string) (node, error) {
	o, ok := p.operator()
	if !ok {
		return node{}, p.fail(wantOperator)
	}
	n := node{op: o, label: clone(label)}
	var err error
	if o == opIn || o == opNotIn {
		n.values, err = p.set()
	} else {
		n.value, err = p.str()
	}
	return n, err
}

// operator consumes an operator, in any of its spellings.
func (p *parser) operator() (op, bool) {
	for _, t := range []struct {
		tok string
		op  op
	}{{"==", opEq}, {"!=", opNe}} {
		if p.take(t.tok) {
			return t.op, true
		}
	}
	for _, t := range []struct {
		first, second string
		op            op
	}{
		{"in", "", opIn}, {"notin", "", opNotIn}, {"not", "in", opNotIn},
		{"contains", "", opContains},
		{"startswith", "", opStarts}, {"starts", "with", opStarts},
		{"endswith", "", opEnds}, {"ends", "with", opEnds},
	} {
		start := p.pos
		if p.takeWord(t.first) && (t.second == "" || p.takeWord(t.second)) {
			return t.op, true
		}
		p.pos = start
	}
	return 0, false
}

// set parses {"a", "b"}; it may be empty, and a comma may follow the last.
func (p *parser) set() ([]string, error) {
	if !p.take("{") {
		return nil, p.fail(`a set: {"a", "b"}`)
	}
	var values []string
	for !p.take("}") {
		v, err := p.str()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
		if !p.take(",") && !strings.HasPrefix(p.rest(), "}") {
			return nil, p.fail(", or }")
		}
	}
	return makeSet(values), nil
}
