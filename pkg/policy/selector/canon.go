package selector

import (
	"strings"
	"unicode/utf8"
)

// canon prints a tree. The form with spaces and parentheses for people can be
// longer than what was parsed; where it would pass MaxLength, so that Parse
// would refuse it, the terse form is used, which is never longer than any
// other spelling.
func canon(n *node) string {
	p := printer{}
	p.print(n)
	if s := p.String(); utf8.RuneCountInString(s) <= MaxLength {
		return s
	}
	p = printer{terse: true}
	p.print(n)
	return p.String()
}

type printer struct {
	strings.Builder
	terse bool
}

// comparison gives the spelling of an operator between label and value.
var comparison = map[op][2]string{ // for people, terse
	opEq:       {" == ", "=="},
	opNe:       {" != ", "!="},
	opIn:       {" in ", " in"},
	opNotIn:    {" not in ", " notin"},
	opContains: {" contains ", " contains"},
	opStarts:   {" starts with ", " startswith"},
	opEnds:     {" ends with ", " endswith"},
	opAnd:      {" && ", "&&"},
	opOr:       {" || ", "||"},
}

func (p *printer) spell(o op) {
	i := 0
	if p.terse {
		i = 1
	}
	p.WriteString(comparison[o][i])
}

func (p *printer) print(n *node) {
	switch n.op {
	case opAll:
		p.WriteString("all()")
	case opGlobal:
		p.WriteString("global()")
	case opHas:
		p.WriteString("has(" + n.label + ")")
	case opNot:
		p.WriteByte('!')
		k := &n.kids[0]
		p.operand(k, k.op == opAnd || k.op == opOr)
	case opAnd, opOr:
		for i := range n.kids {
			if i > 0 {
				p.spell(n.op)
			}
			k := &n.kids[i]
			// && binds tighter than ||, so the terse form leaves a && b || c.
			p.operand(k, k.op == opOr || k.op == opAnd && !p.terse)
		}
	case opIn, opNotIn:
		p.WriteString(n.label)
		p.spell(n.op)
		p.set(n.values)
	default:
		p.WriteString(n.label)
		p.spell(n.op)
		p.quote(n.value)
	}
}

func (p *printer) operand(n *node, parens bool) {
	if parens {
		p.WriteByte('(')
	}
	p.print(n)
	if parens {
		p.WriteByte(')')
	}
}

func (p *printer) set(values []string) {
	p.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			p.WriteByte(',')
			if !p.terse {
				p.WriteByte(' ')
			}
		}
		p.quote(v)
	}
	p.WriteByte('}')
}

// quote has no escapes to use, so a value with a " in it takes the other
// quotes; a parsed value can't contain both.
func (p *printer) quote(v string) {
	q := byte('"')
	if strings.IndexByte(v, '"') >= 0 {
		q = '\''
	}
	p.WriteByte(q)
	p.WriteString(v)
	p.WriteByte(q)
}
