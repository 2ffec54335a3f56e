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

// parser walks the input once; pos is always at the start of a token. Input
// is short (MaxLength), and so is the depth of the recursion.
type parser struct {
	in  string
	pos int
}

func (p *parser) rest() string { return p.in[p.pos:] }

func (p *parser) space() {
	for p.pos < len(p.in) && strings.IndexByte(" \t\r\n", p.in[p.pos]) >= 0 {
		p.pos++
	}
}

// take consumes tok, and the space after it, if it stands here.
func (p *parser) take(tok string) bool {
	if !strings.HasPrefix(p.rest(), tok) {
		return false
	}
	p.pos += len(tok)
	p.space()
	return true
}

// word is the run of label characters here, not consumed.
func (p *parser) word() string {
	r := p.rest()
	i := 0
	for i < len(r) && labelChar(r[i]) {
		i++
	}
	return r[:i]
}

func labelChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '_' || c == '.' || c == '/' || c == '-'
}

// takeWord consumes w if the whole word here is w.
func (p *parser) takeWord(w string) bool { return p.word() == w && p.take(w) }

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

// str parses a quoted string; there are no escapes.
func (p *parser) str() (string, error) {
	r := p.rest()
	if r == "" || r[0] != '"' && r[0] != '\'' {
		return "", p.fail(wantString)
	}
	end := strings.IndexByte(r[1:], r[0])
	if end < 0 {
		start := p.pos
		p.pos = len(p.in)
		e := p.fail("a closing " + r[:1])
		e.Hint = fmt.Sprintf("the string starts at column %d", p.column(start))
		return "", e
	}
	v := r[1 : 1+end]
	p.pos += end + 2
	p.space()
	return clone(v), nil
}

func (p *parser) column(pos int) int { return utf8.RuneCountInString(p.in[:pos]) + 1 }

// fail is the error at the cursor, with a hint for common slips.
func (p *parser) fail(expected string) *Error {
	e := &Error{Input: p.in, Column: p.column(p.pos), Expected: expected, Found: p.found()}
	r, w := p.rest(), p.word()
	switch {
	case strings.HasPrefix(r, "=") && expected == wantOperator:
		e.Hint = "a comparison is =="
	case strings.HasPrefix(r, "&") || strings.EqualFold(w, "and"):
		e.Hint = "and is written &&"
	case strings.HasPrefix(r, "|") || strings.EqualFold(w, "or"):
		e.Hint = "or is written ||"
	case strings.EqualFold(w, "not") && expected == wantOperand:
		e.Hint = "not is written !"
	case w != "" && expected == wantString:
		e.Hint = "write '" + w + "'"
	}
	return e
}

// found names what stands at the cursor: a whole word, or one character.
func (p *parser) found() string {
	r := p.rest()
	if r == "" {
		return "the end"
	}
	w := p.word()
	if w == "" {
		_, size := utf8.DecodeRuneInString(r)
		w = r[:size]
	}
	if len(w) > 40 {
		w = w[:40] + "…"
	}
	return fmt.Sprintf("%q", w)
}
