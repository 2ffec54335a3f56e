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
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
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

var protocols = map[string]policy.Protocol{
	"tcp": policy.TCP, "udp": policy.UDP, "sctp": policy.SCTP,
	"icmp": policy.ICMP, "icmpv6": policy.ICMPv6, "udplite": policy.UDPLite,
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

// traffic reads PROTOCOL[:PORTS].
func (p *parser) traffic(word string, at int, rule, destination map[string]any) error {
	name, ports, hasPorts := strings.Cut(word, ":")
	proto, known := protocols[strings.ToLower(name)]
	if !known {
		n, err := strconv.Atoi(name)
		if err != nil || n < 1 || n > 255 {
			return p.fail(at, "expected a protocol (tcp, udp, sctp, icmp, icmpv6, udplite or 1 to 255), from or to, found %s", quoted(name))
		}
		proto = policy.Protocol(n)
	}
	rule["protocol"] = proto.String()
	if n, err := strconv.Atoi(proto.String()); err == nil {
		rule["protocol"] = int64(n)
	}
	if !hasPorts {
		return nil
	}
	if !proto.HasPorts() {
		return p.fail(at+len(name), "%s has no ports", name)
	}
	list, err := p.ports(ports, at+len(name)+1)
	if err != nil {
		return err
	}
	destination["ports"] = list
	return nil
}

// ports reads 80,443,8000:8080; ranges may be written with - too.
func (p *parser) ports(text string, at int) ([]any, error) {
	var out []any
	for _, part := range strings.Split(text, ",") {
		lo, hi, isRange := strings.Cut(part, ":")
		if !isRange {
			lo, hi, isRange = strings.Cut(part, "-")
		}
		first, err := p.port(lo, at)
		if err != nil {
			return nil, err
		}
		switch {
		case !isRange:
			out = append(out, int64(first))
		default:
			last, err := p.port(hi, at+len(lo)+1)
			if err != nil {
				return nil, err
			}
			if last < first {
				return nil, p.fail(at, "a range goes from the lower to the higher port, found %s", quoted(part))
			}
			out = append(out, fmt.Sprintf("%d:%d", first, last))
		}
		at += len(part) + 1
	}
	return out, nil
}

func (p *parser) port(text string, at int) (int, error) {
	n, err := strconv.Atoi(text)
	switch {
	case err == nil && n >= 0 && n <= 65535:
		return n, nil
	case err == nil || errors.Is(err, strconv.ErrRange):
		return 0, p.fail(at, "port %s is out of range, expected 0 to 65535", text)
	}
	return 0, p.fail(at, "expected a port or a range of ports like 8000:8080, found %s", quoted(text))
}

const namePattern = `[a-z0-9](?:[-a-z0-9]*[a-z0-9])?`

var (
	onlyNamespaces = regexp.MustCompile(`^ns +(` + namePattern + `(?: *, *` + namePattern + `)*)$`)
	inNamespaces   = regexp.MustCompile(`^(.*[^ ]) +in +ns +(` + namePattern + `(?: *, *` + namePattern + `)*)$`)
	onlyCIDRs      = regexp.MustCompile(`^cidr +([^ =!][^=!]*)$`)
	nsSelector     = regexp.MustCompile(`^ns-selector +([^ =!].*)$`)
)

// peer reads what follows from or to.
func (p *parser) peer(preposition string, into map[string]any) error {
	for p.pos < len(p.rule) && p.rule[p.pos] == ' ' {
		p.pos++
	}
	at := p.pos
	text := strings.TrimRight(p.rule[at:], " ")
	p.pos = len(p.rule)
	if text == "" {
		return p.fail(at, "expected a selector, ns NAME, ns-selector SELECTOR, cidr CIDR or anywhere after %s", preposition)
	}
	if text == "anywhere" {
		return nil
	}
	if m := onlyNamespaces.FindStringSubmatch(text); m != nil {
		into["namespaceSelector"] = NamespaceSelector(strings.Split(m[1], ","))
		return nil
	}
	if m := onlyCIDRs.FindStringSubmatchIndex(text); m != nil {
		nets, err := p.nets(text[m[2]:m[3]], at+m[2])
		into["nets"] = nets
		return err
	}
	if m := nsSelector.FindStringSubmatchIndex(text); m != nil {
		into["namespaceSelector"] = text[m[2]:m[3]]
		return p.selector(text[m[2]:m[3]], at+m[2])
	}
	if m := inNamespaces.FindStringSubmatch(text); m != nil {
		into["namespaceSelector"] = NamespaceSelector(strings.Split(m[2], ","))
		text = m[1]
	}
	into["selector"] = text
	return p.selector(text, at)
}

// selector checks a selector that begins at a byte of the rule.
func (p *parser) selector(text string, at int) error {
	_, err := selector.Parse(text)
	if err == nil {
		return nil
	}
	// With blanks in front its columns are those of the rule.
	before := utf8.RuneCountInString(p.rule[:at])
	_, padded := selector.Parse(strings.Repeat(" ", before) + text)
	var wrong *selector.Error
	if !errors.As(padded, &wrong) {
		return p.fail(at, "%v", err)
	}
	reason := strings.TrimPrefix(wrong.Error(), fmt.Sprintf("column %d: ", wrong.Column))
	return &Error{Rule: p.rule, Column: wrong.Column, Reason: reason}
}

// nets reads CIDRs; a single address is a CIDR of its own.
func (p *parser) nets(text string, at int) ([]any, error) {
	var out []any
	for _, part := range strings.Split(text, ",") {
		lead := len(part) - len(strings.TrimLeft(part, " "))
		word := strings.TrimSpace(part)
		prefix, err := netip.ParsePrefix(word)
		if addr, addrErr := netip.ParseAddr(word); addrErr == nil {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, p.fail(at+lead, "expected a CIDR like 10.0.0.0/8, found %s", quoted(word))
		}
		if prefix != prefix.Masked() {
			return nil, p.fail(at+lead, "%s has bits beyond its mask, did you mean %s?", word, prefix.Masked())
		}
		out = append(out, prefix.String())
		at += len(part) + 1
	}
	return out, nil
}

// NamespaceSelector picks namespaces by name.
func NamespaceSelector(names []string) string {
	for i := range names {
		names[i] = strings.TrimSpace(names[i])
	}
	if len(names) == 1 {
		return "kubernetes.io/metadata.name == '" + names[0] + "'"
	}
	return "kubernetes.io/metadata.name in {'" + strings.Join(names, "', '") + "'}"
}
