package policy

import "strings"

// fastParser reads the YAML that people and API servers write: block mappings
// and lists, one-line flow values, plain and quoted strings on one line, ASCII.
// For anything else, errors included, it gives up, and the real parser takes
// over; what it accepts it reads exactly alike, positions included (there is a
// fuzz test). It is some ten times as fast, which is what loading thousands of
// manifests costs.
//
// All nodes lie in memory that the next document reuses.
type fastParser struct {
	in     string
	pos    int   // of the content at the cursor
	bol    int   // where the line begins
	indent int   // of the content, in columns
	line   int32 // number of the line
	eof    bool
	bad    bool // given up
	depth  int

	entries
}

// parse reads a document, or says that it can't.
func (p *fastParser) parse(data []byte, line int) (*node, bool) {
	for _, c := range data {
		if c >= 0x7f || c < ' ' && c != '\n' {
			return nil, false
		}
	}
	*p = fastParser{in: string(data), line: int32(line), entries: entries{p.stack[:0], p.slab[:0]}}
	if isMarker(data, "---") {
		p.pos = 3
		if p.skipSpaces(); !p.atEnd() {
			return nil, false
		}
	}
	p.enter()
	if p.eof {
		return &node{}, true
	}
	if p.indent != 0 {
		return nil, false
	}
	root := p.block(0)
	if p.bad || !p.eof {
		return nil, false
	}
	return &root, true
}

func (p *fastParser) giveUp() node {
	p.bad, p.eof = true, true
	return node{}
}

// at is the byte i after the cursor, a newline past the end.
func (p *fastParser) at(i int) byte {
	if p.pos+i < len(p.in) {
		return p.in[p.pos+i]
	}
	return '\n'
}

func (p *fastParser) column() int32 { return int32(p.pos-p.bol) + 1 }

func (p *fastParser) skipSpaces() {
	for p.at(0) == ' ' {
		p.pos++
	}
}

// atEnd says whether only a comment is left of the line; a comment needs a
// space before it.
func (p *fastParser) atEnd() bool {
	return p.at(0) == '\n' || p.at(0) == '#' && (p.pos == p.bol || p.in[p.pos-1] == ' ')
}

// advance goes to the next line with content.
func (p *fastParser) advance() {
	i := strings.IndexByte(p.in[p.pos:], '\n')
	if i < 0 {
		p.eof = true
		return
	}
	p.pos += i + 1
	p.bol = p.pos
	p.line++
	p.enter()
}

// enter finds the content of the line at the cursor, or of a later one.
func (p *fastParser) enter() {
	for {
		p.skipSpaces()
		if p.pos >= len(p.in) {
			p.eof = true
			return
		}
		if !p.atEnd() {
			p.indent = p.pos - p.bol
			return
		}
		i := strings.IndexByte(p.in[p.pos:], '\n')
		if i < 0 {
			p.eof = true
			return
		}
		p.pos += i + 1
		p.bol = p.pos
		p.line++
	}
}

// block reads the mapping or list whose first entry is at the cursor.
func (p *fastParser) block(indent int) node {
	if p.depth++; p.depth > maxDepth/2 {
		return p.giveUp()
	}
	defer func() { p.depth-- }()
	if p.dash() {
		return p.list(indent)
	}
	return p.mapping(indent)
}

func (p *fastParser) dash() bool {
	return p.at(0) == '-' && (p.at(1) == ' ' || p.at(1) == '\n')
}

func (p *fastParser) mapping(indent int) node {
	n := node{kind: isMap, line: p.line, col: p.column()}
	base := len(p.stack)
	for !p.eof && p.indent == indent {
		key, end := p.key()
		if end < 0 {
			return p.giveUp()
		}
		i := len(p.stack)
		p.stack = append(p.stack, entry{key: key, line: p.line, col: p.column()})
		p.pos = end
		v := p.value(indent)
		p.stack[i].node = v
	}
	if !p.eof && p.indent > indent {
		return p.giveUp()
	}
	return p.finish(n, base)
}

// value reads what follows a key's colon.
func (p *fastParser) value(indent int) node {
	none := node{kind: isNull, line: p.line, col: p.column()}
	p.skipSpaces()
	if !p.atEnd() {
		return p.inline()
	}
	p.advance()
	switch {
	case p.eof:
	case p.indent > indent:
		return p.block(p.indent)
	case p.indent == indent && p.dash():
		return p.list(indent)
	}
	return none
}

func (p *fastParser) list(indent int) node {
	n := node{kind: isList, line: p.line, col: p.column()}
	base := len(p.stack)
	for !p.eof && p.indent == indent && p.dash() {
		p.pos++
		i := len(p.stack)
		p.stack = append(p.stack, entry{})
		v := p.item(indent)
		p.stack[i].node = v
	}
	if !p.eof && p.indent > indent {
		return p.giveUp()
	}
	return p.finish(n, base)
}

// item reads what follows a dash: it may be the first entry of a mapping whose
// others are on the lines below.
func (p *fastParser) item(indent int) node {
	none := node{kind: isNull, line: p.line, col: p.column()}
	p.skipSpaces()
	if p.atEnd() {
		p.advance()
		if !p.eof && p.indent > indent {
			return p.block(p.indent)
		}
		return none
	}
	if _, end := p.key(); end >= 0 || p.dash() {
		p.indent = p.pos - p.bol
		return p.block(p.indent)
	}
	return p.inline()
}
