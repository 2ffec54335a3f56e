package policy

import (
	"encoding/json"
	"errors"
	"strings"
)

// servedParser reads the JSON that API servers send, which is a lot: it keeps
// no places (one line is all there is) and passes over managedFields, which are
// often half of an object. All nodes lie in memory that the next value reuses.
type servedParser struct {
	in    string
	pos   int
	depth int
	bad   bool

	entries
}

// largestSlab is how much of it is kept for the next document, in entries.
const largestSlab = 1 << 14

var errServed = errors.New("the server sent what is not JSON")

// begin takes a new text.
func (p *servedParser) begin(data []byte) {
	*p = servedParser{in: strings.ToValidUTF8(string(data), "\uFFFD"), entries: entries{p.stack[:0], p.slab}}
	p.forget()
}

// forget lets what was read so far be written over.
func (p *servedParser) forget() {
	if cap(p.slab) > largestSlab {
		p.slab = nil
	}
	p.slab = p.slab[:0]
}

// next is the next byte after white space, 0 at the end.
func (p *servedParser) next() byte {
	for p.pos < len(p.in) {
		switch c := p.in[p.pos]; c {
		case ' ', '\n', '\t', '\r':
			p.pos++
		default:
			return c
		}
	}
	return 0
}

// take passes over a byte, which must be next.
func (p *servedParser) take(c byte) {
	if p.next() != c {
		p.fail()
		return
	}
	p.pos++
}

func (p *servedParser) fail() node {
	p.bad, p.pos = true, len(p.in)
	return node{}
}

// value reads a value.
func (p *servedParser) value() node { return p.valueOf("") }

// valueOf reads the value of a key.
func (p *servedParser) valueOf(key string) node {
	switch c := p.next(); c {
	case '{', '[':
		if p.depth++; p.depth > maxDepth {
			return p.fail()
		}
		n := p.members(c, key)
		p.depth--
		return n
	case '"':
		return node{kind: isString, text: p.text()}
	case 't':
		return p.word("true", isBool)
	case 'f':
		return p.word("false", isBool)
	case 'n':
		n := p.word("null", isNull)
		n.text = ""
		return n
	default:
		return p.number()
	}
}

func (p *servedParser) word(w string, kind nodeKind) node {
	if !strings.HasPrefix(p.in[p.pos:], w) {
		return p.fail()
	}
	p.pos += len(w)
	return node{kind: kind, text: w}
}

func (p *servedParser) number() node {
	from := p.pos
	for p.pos < len(p.in) {
		if c := p.in[p.pos]; (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' && c != 'E' {
			break
		}
		p.pos++
	}
	if from == p.pos {
		return p.fail()
	}
	return node{kind: isNumber, text: p.in[from:p.pos]}
}

// text reads a string.
func (p *servedParser) text() string {
	from := p.pos
	p.take('"')
	escaped := false
	for {
		i := strings.IndexByte(p.in[p.pos:], '"')
		if i < 0 {
			p.fail()
			return ""
		}
		// A quote after an odd number of backslashes is a part of the string.
		slashes := 0
		for j := p.pos + i - 1; j > from && p.in[j] == '\\'; j-- {
			slashes++
		}
		escaped = escaped || slashes > 0
		p.pos += i + 1
		if slashes%2 == 0 {
			break
		}
	}
	whole := p.in[from:p.pos]
	if !escaped && strings.IndexByte(whole, '\\') < 0 {
		return whole[1 : len(whole)-1]
	}
	var s string
	if json.Unmarshal([]byte(whole), &s) != nil {
		p.fail()
	}
	return s
}

// members reads a mapping or list, whose own key is within.
func (p *servedParser) members(open byte, within string) node {
	n, last := node{kind: isMap}, byte('}')
	if open == '[' {
		n.kind, last = isList, ']'
	}
	base := len(p.stack)
	p.pos++
	for more := p.next() != last; more && !p.bad; {
		var e entry
		if n.kind == isMap {
			p.next()
			e.key = p.text()
			p.take(':')
		}
		if e.key == "managedFields" && within == "metadata" {
			p.skip()
		} else {
			e.node = p.valueOf(e.key)
			p.stack = append(p.stack, e)
		}
		if more = p.next() == ','; more {
			p.pos++
		}
	}
	p.take(last)
	if p.bad {
		p.stack = p.stack[:base]
		return node{}
	}
	return p.finish(n, base)
}

// skip passes over a value: what is in brackets up to the last of them.
func (p *servedParser) skip() {
	depth := 0
	for !p.bad {
		switch p.next() {
		case '"':
			p.skipText()
		case '{', '[':
			depth++
			p.pos++
		case '}', ']':
			depth--
			p.pos++
		case ',', ':':
			p.pos++
		case 0:
			p.fail()
		default:
			p.valueOf("") // a number or a word
		}
		if depth == 0 {
			return
		}
	}
}

// skipText passes over a string.
func (p *servedParser) skipText() {
	for p.pos++; p.pos < len(p.in); p.pos++ {
		switch p.in[p.pos] {
		case '\\':
			p.pos++
		case '"':
			p.pos++
			return
		}
	}
	p.fail()
}

// each calls f for every key of a mapping, with the cursor at its value, which
// f must read.
func (p *servedParser) each(f func(key string)) {
	p.take('{')
	for more := p.next() != '}'; more && !p.bad; {
		p.next()
		key := p.text()
		p.take(':')
		f(key)
		if more = p.next() == ','; more {
			p.pos++
		}
	}
	p.take('}')
}
