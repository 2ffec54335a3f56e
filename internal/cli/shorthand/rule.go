// Package shorthand reads rules as they are typed on the command line:
//
//	ACTION [PROTOCOL[:PORTS]] [from|to PEER]
//
// ACTION is allow, deny, pass or log. PROTOCOL is tcp, udp, sctp, icmp, icmpv6,
// udplite or a number from 1 to 255; without one, any. PORTS are numbers and
// ranges: 80,443,8000:8080. PEER is one of
//
//	SELECTOR                     pods with such labels (in a NetworkPolicy: of its namespace)
//	SELECTOR in ns NAME[,NAME]   the same, of other namespaces
//	ns NAME[,NAME]               all pods of these namespaces
//	ns-selector SELECTOR         all pods of namespaces with such labels
//	cidr CIDR[,CIDR]             addresses
//	anywhere                     anything, also outside the cluster
//
// It turns text into the fields of a v3 rule; what those mean is not decided
// here.
package shorthand

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Error says where a rule is wrong and what was expected there.
type Error struct {
	Rule   string
	Column int // in characters, from 1
	Reason string
}

// Error is one line, without the rule.
func (e *Error) Error() string { return fmt.Sprintf("column %d: %s", e.Column, e.Reason) }

// Pointer is the rule, and below it a mark at the column.
func (e *Error) Pointer() []string {
	return []string{e.Rule, strings.Repeat(" ", max(0, e.Column-1)) + "^"}
}

// parser reads one rule from left to right.
type parser struct {
	rule string
	pos  int // in bytes
}

func (p *parser) fail(at int, format string, args ...any) error {
	return &Error{Rule: p.rule, Column: utf8.RuneCountInString(p.rule[:at]) + 1, Reason: fmt.Sprintf(format, args...)}
}

// word takes the next word; at is where it begins.
func (p *parser) word() (word string, at int) {
	for p.pos < len(p.rule) && p.rule[p.pos] == ' ' {
		p.pos++
	}
	at = p.pos
	for p.pos < len(p.rule) && p.rule[p.pos] != ' ' {
		p.pos++
	}
	return p.rule[at:p.pos], at
}

var actions = map[string]policy.Action{
	"allow": policy.Allow, "deny": policy.Deny, "pass": policy.Pass, "log": policy.Log,
}

// Rule reads one rule of a direction. The result is a rule as v3 writes it; an
// error is an *Error.
func Rule(text string, dir policy.Direction) (map[string]any, error) {
	p := &parser{rule: strings.Map(blank, text)}
	word, at := p.word()
	action, ok := actions[strings.ToLower(word)]
	if !ok {
		return nil, p.fail(at, "expected allow, deny, pass or log, found %s", quoted(word))
	}
	rule := map[string]any{"action": action.String()}
	source, destination := map[string]any{}, map[string]any{}
	before, peer := "from", source
	if dir == policy.Egress {
		before, peer = "to", destination
	}
	word, at = p.word()
	if word != "" && !isPreposition(word) {
		if err := p.traffic(word, at, rule, destination); err != nil {
			return nil, err
		}
		word, at = p.word()
	}
	if word != "" {
		if strings.ToLower(word) != before {
			return nil, p.fail(at, "expected %s and the peer, found %s", before, quoted(word))
		}
		if err := p.peer(before, peer); err != nil {
			return nil, err
		}
	}
	if len(source) > 0 {
		rule["source"] = source
	}
	if len(destination) > 0 {
		rule["destination"] = destination
	}
	return rule, nil
}

// blank makes every kind of white space a blank, one for one.
func blank(r rune) rune {
	if r == '\t' || r == '\n' || r == '\r' {
		return ' '
	}
	return r
}

func isPreposition(word string) bool {
	w := strings.ToLower(word)
	return w == "from" || w == "to"
}

func quoted(word string) string {
	if word == "" {
		return "the end"
	}
	return strconv.Quote(word)
}
