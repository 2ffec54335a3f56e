package policy

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// key reads the key at the cursor, without moving it; end is after the colon,
// -1 if there is no key.
func (p *fastParser) key() (key string, end int) {
	start, i := p.pos, p.pos
	if c := p.at(0); c == '"' || c == '\'' {
		text, after := p.quoted()
		if after < 0 {
			return "", -1
		}
		key, i = text, after
	} else {
		for i < len(p.in) && keyChar(p.in[i]) {
			i++
		}
		key = p.in[start:i]
	}
	if i == start || i-start > 1000 || p.in[start] == '-' || i >= len(p.in) || p.in[i] != ':' {
		return "", -1
	}
	if i++; i < len(p.in) && p.in[i] != ' ' && p.in[i] != '\n' {
		return "", -1
	}
	return key, i
}

func keyChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '.' || c == '/' || c == '-' || c == '_'
}

// quoted reads a string in quotes without escapes that ends on its line,
// without moving the cursor; after is -1 for any other.
func (p *fastParser) quoted() (text string, after int) {
	q := p.in[p.pos]
	for i := p.pos + 1; i < len(p.in); i++ {
		switch c := p.in[i]; {
		case c == '\n' || c == '\\' && q == '"':
			return "", -1
		case c == q && q == '\'' && i+1 < len(p.in) && p.in[i+1] == q:
			return "", -1
		case c == q:
			return p.in[p.pos+1 : i], i + 1
		}
	}
	return "", -1
}

// inline reads a value that ends on this line, and goes to the next one.
func (p *fastParser) inline() node {
	n := node{line: p.line, col: p.column()}
	switch c := p.at(0); c {
	case '"', '\'':
		text, after := p.quoted()
		if after < 0 {
			return p.giveUp()
		}
		n.kind, n.text, p.pos = isString, text, after
	case '[', '{':
		n = p.flow()
	default:
		end := p.plainEnd()
		if end < 0 {
			return p.giveUp()
		}
		n.text = strings.TrimRight(p.in[p.pos:end], " ")
		n.kind = plainKind(n.text)
		p.pos = end
	}
	if p.skipSpaces(); p.bad || !p.atEnd() {
		return p.giveUp()
	}
	p.advance()
	return n
}

// plainEnd finds the end of an unquoted value, -1 if it is not a simple one.
func (p *fastParser) plainEnd() int {
	if p.dash() || strings.IndexByte("?:,[]{}#&*!|>'\"%@`", p.at(0)) >= 0 {
		return -1
	}
	i := p.pos
	for ; i < len(p.in) && p.in[i] != '\n'; i++ {
		switch p.in[i] {
		case ':':
			if i+1 == len(p.in) || p.in[i+1] == ' ' || p.in[i+1] == '\n' {
				return -1
			}
		case '#':
			if p.in[i-1] == ' ' {
				return i
			}
		}
	}
	return i
}

// plainKind is the type that an unquoted value has.
func plainKind(s string) nodeKind {
	c := s[0]
	switch {
	case c >= '1' && c <= '9' && len(s) < 18 && digits(s):
		return isNumber
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '/' || c == '_':
		switch s {
		case "true", "True", "TRUE", "false", "False", "FALSE":
			return isBool
		case "null", "Null", "NULL":
			return isNull
		}
		return isString
	}
	return scalarKind(&yaml.Node{Kind: yaml.ScalarNode, Value: s})
}
