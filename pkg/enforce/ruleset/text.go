package ruleset

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// TableName is the one table that netpol owns, of family inet.
const TableName = "netpol"

// Text is the ruleset as nft reads it (1.0.6 and later), in the ruleset's own
// order, so that equal rulesets give equal text.
func Text(r *Ruleset) string {
	var b strings.Builder
	b.WriteString("table inet " + TableName + " {\n")
	for _, s := range r.Sets {
		writeSet(&b, s)
	}
	for _, c := range r.Chains {
		writeChain(&b, c)
	}
	b.WriteString("}\n")
	return b.String()
}

func writeSet(b *strings.Builder, s *Set) {
	kind, verdict := "set", ""
	if s.Map {
		kind, verdict = "map", " : verdict"
	}
	fmt.Fprintf(b, "\t%s %s {\n\t\ttype %s%s\n", kind, s.Name, concat(s.Fields, fieldTypes[:]), verdict)
	var flags []string
	if s.Interval {
		flags = append(flags, "interval")
	}
	if s.Timeout {
		flags = append(flags, "timeout")
	}
	if len(flags) > 0 {
		b.WriteString("\t\tflags " + strings.Join(flags, ",") + "\n")
	}
	writeComment(b, s.Comment)
	if len(s.Elements) > 0 {
		b.WriteString("\t\telements = {\n")
		for i := range s.Elements {
			b.WriteString("\t\t\t" + elementText(s, &s.Elements[i]) + ",\n")
		}
		b.WriteString("\t\t}\n")
	}
	b.WriteString("\t}\n")
}

func writeComment(b *strings.Builder, c string) {
	if c != "" {
		b.WriteString("\t\tcomment " + quote(c) + "\n")
	}
}

func quote(s string) string { return `"` + clip(s, 127) + `"` }

func elementText(s *Set, e *Element) string {
	parts := make([]string, len(s.Fields))
	at := 0
	for i, f := range s.Fields {
		lo := []byte(e.Key[at : at+f.Len()])
		parts[i] = valueText(f, lo)
		if s.Interval {
			if hi := valueText(f, []byte(e.KeyEnd[at:at+f.Len()])); hi != parts[i] {
				parts[i] += "-" + hi
			}
		}
		at += padded(f)
	}
	text := strings.Join(parts, " . ")
	if s.Map {
		text += " : " + verdictText(e.Verdict)
	}
	return text
}

// padded is the length of a field in a key.
func padded(f Field) int { return (f.Len() + 3) &^ 3 }

func writeChain(b *strings.Builder, c *Chain) {
	fmt.Fprintf(b, "\tchain %s {\n", c.Name)
	if h := c.Hook; h != nil {
		fmt.Fprintf(b, "\t\ttype filter hook %s priority %d; policy accept;\n", h.Name, h.Priority)
	}
	writeComment(b, c.Comment)
	for i := range c.Rules {
		b.WriteString("\t\t" + RuleText(&c.Rules[i]) + "\n")
	}
	b.WriteString("\t}\n")
}

// RuleText is one rule as nft reads it.
func RuleText(r *Rule) string {
	var parts []string
	for i := range r.Matches {
		if !implied(r, i) {
			parts = append(parts, matchText(&r.Matches[i]))
		}
	}
	if r.Counter {
		parts = append(parts, "counter")
	}
	if l := r.Limit; l != nil {
		parts = append(parts, fmt.Sprintf("limit rate %d/second burst %d packets", l.PerSecond, l.Burst))
	}
	if r.Log != nil {
		parts = append(parts, fmt.Sprintf("log prefix %s group %d", quote(r.Log.Prefix), r.Log.Group))
	}
	if r.NoTrack {
		parts = append(parts, "notrack")
	}
	if r.VMap != nil {
		parts = append(parts, concat(r.VMap.Fields, fieldNames[:])+" vmap @"+r.VMap.Map)
	}
	if r.Verdict.Kind != None {
		parts = append(parts, verdictText(r.Verdict))
	}
	if r.Comment != "" {
		parts = append(parts, "comment "+quote(r.Comment))
	}
	return strings.Join(parts, " ")
}

// implied says whether match i is one that nft itself puts before what follows
// it: the family before an address, the protocol before a header of its own.
func implied(r *Rule, i int) bool {
	m := &r.Matches[i]
	if m.Op != Equal || m.Set != "" {
		return false
	}
	var by []Field
	switch {
	case m.Fields[0] == NFProto && m.Value[0] == families[0].nfproto:
		by = []Field{SAddr4, DAddr4}
	case m.Fields[0] == NFProto:
		by = []Field{SAddr6, DAddr6, HopLimit}
	case m.Fields[0] == L4Proto && m.Value[0] == protoTCP:
		by = []Field{TCPFlags}
	case m.Fields[0] == L4Proto && m.Value[0] == protoICMPv6:
		by = []Field{ICMPv6Type}
	}
	follows := func(f Field) bool { return slices.Contains(by, f) }
	for _, next := range r.Matches[i+1:] {
		if slices.ContainsFunc(next.Fields, follows) {
			return true
		}
	}
	return r.VMap != nil && slices.ContainsFunc(r.VMap.Fields, follows)
}

func matchText(m *Match) string {
	left := concat(m.Fields, fieldNames[:])
	if m.Set != "" {
		if m.Invert {
			return left + " != @" + m.Set
		}
		return left + " @" + m.Set
	}
	f := m.Fields[0]
	switch m.Op {
	case NotEqual:
		return left + " != " + valueText(f, m.Value)
	case NotAny:
		return left + " ! " + valueText(f, m.Value)
	case Prefix:
		return left + ` "` + string(m.Value) + `*"`
	case Masked:
		if p, ok := prefixText(f, m); ok {
			return left + " " + p
		}
		return fmt.Sprintf("%s & %s == %s", left, valueText(f, m.Mask), valueText(f, m.Value))
	}
	return left + " " + valueText(f, m.Value)
}

// prefixText is a masked address as a prefix.
func prefixText(f Field, m *Match) (string, bool) {
	a, ok := netip.AddrFromSlice(m.Value)
	if !ok || f.Len() < 4 {
		return "", false
	}
	bits := 0
	for _, b := range m.Mask {
		for ; b&0x80 != 0; b <<= 1 {
			bits++
		}
	}
	return netip.PrefixFrom(a, bits).String(), true
}

func verdictText(v Verdict) string {
	switch v.Kind {
	case Accept:
		return "accept"
	case Drop:
		return "drop"
	case Jump:
		return "jump " + v.Chain
	case Goto:
		return "goto " + v.Chain
	case Return:
		return "return"
	}
	return "continue"
}
