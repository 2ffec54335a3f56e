package shorthand

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

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
