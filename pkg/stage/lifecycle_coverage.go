package stage

import (
	"regexp"
	"slices"
	"strings"
)

// nameLabel is the label that holds a namespace's name (S15).
const nameLabel = "kubernetes.io/metadata.name"

// coverage is a set of namespaces: some by name or all but some, and what
// other selectors pick besides.
type coverage struct {
	all bool
	// names are the members, or with all the ones left out; sorted.
	names []string
	// others are selectors that pick more namespaces.
	others []string
	// unscoped: no namespaceSelector at all, which is more than all
	// namespaces (S14).
	unscoped bool
}

func named(names ...string) coverage  { return coverage{names: sorted(names)} }
func allBut(names ...string) coverage { return coverage{all: true, names: sorted(names)} }
func everything() coverage            { return coverage{all: true, unscoped: true} }

func sorted(names []string) []string {
	out := slices.Clone(names)
	slices.Sort(out)
	return slices.Compact(out)
}

// The forms of a canonical selector that speak of namespaces by name only.
var (
	oneName  = regexp.MustCompile(`^kubernetes\.io/metadata\.name (==|!=) "([^"]*)"$`)
	setNames = regexp.MustCompile(`^kubernetes\.io/metadata\.name (in|not in) \{([^{}]*)\}$`)
)

// coverageFrom reads a selector: its canonical form, and as it was written.
func coverageFrom(canonical, written string) coverage {
	if canonical == "all()" {
		return allBut()
	}
	if m := oneName.FindStringSubmatch(canonical); m != nil {
		if m[1] == "==" {
			return named(m[2])
		}
		return allBut(m[2])
	}
	if m := setNames.FindStringSubmatch(canonical); m != nil {
		var names []string
		for _, n := range strings.Split(m[2], ",") {
			if n = strings.Trim(n, ` "`); n != "" {
				names = append(names, n)
			}
		}
		if m[1] == "in" {
			return named(names...)
		}
		return allBut(names...)
	}
	// One that extended a foreign selector before: names || (foreign).
	if head, tail, ok := strings.Cut(written, orForeign); ok && strings.HasSuffix(tail, ")") {
		if c := coverageFrom(requote(head), head); len(c.others) == 0 {
			c.others = []string{strings.TrimSuffix(tail, ")")}
			return c
		}
	}
	return coverage{others: []string{written}}
}

// orForeign joins what is covered by name and what somebody else's selector
// covers.
const orForeign = " || ("

// requote turns the quotes that String writes into canonical ones.
func requote(s string) string { return strings.ReplaceAll(s, "'", `"`) }

// union covers what either covers.
func (c coverage) union(d coverage) coverage {
	if c.unscoped || d.unscoped {
		return everything()
	}
	out := coverage{others: slices.Clone(c.others)}
	for _, o := range d.others {
		if !slices.Contains(out.others, o) {
			out.others = append(out.others, o)
		}
	}
	switch {
	case c.all && d.all:
		out.all, out.names = true, keep(c.names, d.names, true)
	case c.all:
		out.all, out.names = true, keep(c.names, d.names, false)
	case d.all:
		out.all, out.names = true, keep(d.names, c.names, false)
	default:
		out.names = sorted(append(slices.Clone(c.names), d.names...))
	}
	return out
}

// keep are those of names that are (or are not) in other.
func keep(names, other []string, in bool) []string {
	var out []string
	for _, n := range names {
		if slices.Contains(other, n) == in {
			out = append(out, n)
		}
	}
	return out
}

// String is the namespaceSelector; "" for everything, which has none.
func (c coverage) String() string {
	if c.unscoped {
		return ""
	}
	var byName string
	switch {
	case c.all && len(c.names) == 0:
		return "all()"
	case c.all && len(c.names) == 1:
		byName = nameLabel + " != '" + c.names[0] + "'"
	case c.all:
		byName = nameLabel + " not in {'" + strings.Join(c.names, "', '") + "'}"
	case len(c.names) == 1:
		byName = nameLabel + " == '" + c.names[0] + "'"
	case len(c.names) > 1:
		byName = nameLabel + " in {'" + strings.Join(c.names, "', '") + "'}"
	}
	parts := []string{}
	if byName != "" {
		parts = append(parts, byName)
	}
	for _, o := range c.others {
		parts = append(parts, "("+o+")")
	}
	return strings.Join(parts, " || ")
}
