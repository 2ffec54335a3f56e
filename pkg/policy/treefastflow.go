package policy

// flow reads a list or mapping in brackets that ends on its line.
func (p *fastParser) flow() node {
	if p.depth++; p.depth > maxDepth/2 {
		return p.giveUp()
	}
	defer func() { p.depth-- }()
	n := node{kind: isList, line: p.line, col: p.column()}
	last := byte(']')
	if p.at(0) == '{' {
		n.kind, last = isMap, '}'
	}
	base := len(p.stack)
	p.pos++
	p.skipSpaces()
	for more := p.at(0) != last; more; {
		i := len(p.stack)
		p.stack = append(p.stack, entry{})
		if n.kind == isMap {
			p.stack[i].line, p.stack[i].col = p.line, p.column()
			p.stack[i].key = p.flowKey()
		}
		v := p.flowValue()
		if p.bad {
			return v
		}
		p.stack[i].node = v
		p.skipSpaces()
		switch p.at(0) {
		case last:
			more = false
		case ',':
			p.pos++
			p.skipSpaces()
		default:
			return p.giveUp()
		}
	}
	p.pos++
	return p.finish(n, base)
}

// flowKey reads a key, its colon and the space after it.
func (p *fastParser) flowKey() string {
	key, end := p.key()
	if end < 0 || p.in[end-1] != ':' {
		p.giveUp()
		return ""
	}
	p.pos = end
	p.skipSpaces()
	return key
}

func (p *fastParser) flowValue() node {
	if p.bad {
		return node{}
	}
	n := node{line: p.line, col: p.column()}
	switch c := p.at(0); c {
	case '[', '{':
		return p.flow()
	case '"', '\'':
		text, after := p.quoted()
		if after < 0 {
			return p.giveUp()
		}
		n.kind, n.text, p.pos = isString, text, after
		// "a": 1 in a list would be a mapping.
		if p.at(0) == ':' {
			return p.giveUp()
		}
		return n
	}
	start := p.pos
	for p.pos < len(p.in) && keyChar(p.in[p.pos]) {
		p.pos++
	}
	if p.pos == start || p.in[start] == '-' && p.pos == start+1 {
		return p.giveUp()
	}
	n.text = p.in[start:p.pos]
	n.kind = plainKind(n.text)
	return n
}
