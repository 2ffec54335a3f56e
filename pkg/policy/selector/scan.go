package selector

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

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
