package policy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// reading is one resource being read: what every part of the decoder needs.
type reading struct {
	dec    *Decoder
	file   string
	root   *node
	schema *schema // of the whole resource; nil for kinds that are checked as they are read
	key    Key
	faults Faults
	errors int // the faults that are no warnings
}

func (r *reading) origin(line, col int32) Origin {
	return Origin{File: r.file, Line: int(line), Column: int(col)}
}

// add records a fault of this resource.
func (r *reading) add(f Fault) {
	f.Key = r.key
	if !f.Warning {
		r.errors++
	}
	r.faults = append(r.faults, f)
}

// fault records a fault of a value: place, path and value are filled in where
// f leaves them out.
func (r *reading) fault(n *node, f Fault) {
	if f.Origin == (Origin{}) {
		f.Origin = r.origin(n.line, n.col)
	}
	if f.Field == "" {
		f.Field = pathOf(r.root, n)
	}
	if f.Value == "" {
		f.Value = n.show()
	}
	r.add(f)
}

// unsupported records something that v3 knows and netpol does not judge yet.
func (r *reading) unsupported(n *node, what string) {
	r.fault(n, Fault{Code: CodeUnsupported, Unsupported: true, Reason: what + " can't be judged by netpol"})
}

// mark and since tell whether something went wrong in between; warnings are
// nothing wrong.
func (r *reading) mark() int { return r.errors }

func (r *reading) since(mark int) bool { return r.errors > mark }

// sortFaults orders by place (objects from memory keep the order of fields) and
// drops what two checks found alike.
func (r *reading) sortFaults() {
	if len(r.faults) < 2 {
		return
	}
	slices.SortStableFunc(r.faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.Origin.Line, b.Origin.Line), cmp.Compare(a.Origin.Column, b.Origin.Column))
	})
	seen := map[Fault]bool{}
	r.faults = slices.DeleteFunc(r.faults, func(f Fault) bool {
		again := seen[f]
		seen[f] = true
		return again
	})
}

// str is a string's text; "" if n is nil, or, with a fault, of another type.
func (r *reading) str(n *node) string {
	if n == nil {
		return ""
	}
	if n.kind != isString {
		r.wrongType(n, isString)
		return ""
	}
	return n.text
}

// textOf is a string's text, "" for anything else: for fields whose type is
// checked elsewhere, or on which nothing depends.
func textOf(n *node) string {
	if n == nil || n.kind != isString {
		return ""
	}
	return n.text
}

func isTrue(n *node) bool { return n != nil && n.kind == isBool && strings.EqualFold(n.text, "true") }

// items are the items of a list; none if n is absent or no list.
func items(n *node) []entry {
	if n == nil || n.kind != isList {
		return nil
	}
	return n.kids
}

var (
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	dnsLabel  = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
)

// Longest names, as the API has them.
const (
	maxName      = 253
	maxNamespace = 63
)

// metadata reads and checks name and namespace into the key.
func (r *reading) metadata(namespaced bool) {
	meta := r.root.get("metadata")
	name := meta.get("name")
	r.key.Name = strings.Clone(r.str(name))
	switch {
	case meta == nil:
		r.fault(r.root, Fault{Code: CodeNoResource, Field: "metadata", Reason: "the resource has no metadata", Fix: "add metadata.name"})
		return
	case meta.kind != isMap:
		r.wrongType(meta, isMap)
		return
	case name == nil:
		r.fault(meta, Fault{Code: CodeNoResource, Field: "metadata.name", Reason: "the resource has no name", Fix: "add metadata.name"})
	case name.kind == isString:
		r.checkName(name, maxName, subdomain)
	}
	ns := meta.get("namespace")
	switch {
	case !namespaced && !ns.empty():
		r.fault(ns, Fault{Code: CodeNotHere, Reason: fmt.Sprintf("a %s belongs to no namespace", r.key.Kind), Fix: "remove the field"})
	case namespaced && ns.empty():
		r.key.Namespace = cmp.Or(r.dec.Home, "default")
	case namespaced:
		r.key.Namespace = r.dec.shared.str(r.str(ns))
		if ns.kind == isString {
			r.checkName(ns, maxNamespace, dnsLabel)
		}
	}
}

func (r *reading) checkName(n *node, longest int, form *regexp.Regexp) {
	switch {
	case len(n.text) > longest:
		r.fault(n, Fault{Code: CodeOutOfBounds, Reason: fmt.Sprintf("%d characters are more than the %d that a name may have", len(n.text), longest)})
	case !form.MatchString(n.text):
		what := "lower-case letters, digits, - and ., beginning and ending with a letter or digit"
		if form == dnsLabel {
			what = "lower-case letters, digits and -, beginning and ending with a letter or digit"
		}
		r.fault(n, Fault{Code: CodeBadName, Reason: "a name is made of " + what})
	}
}

// labels reads a mapping of labels. A number or boolean is a fault but is
// read as its text, since a resource without the label could open something.
func (r *reading) labels(n *node) []label {
	if n == nil {
		return nil
	}
	if n.kind != isMap {
		r.wrongType(n, isMap)
		return nil
	}
	list := make([]label, 0, len(n.kids)+4)
	for i := range n.kids {
		e := &n.kids[i]
		text := e.text
		switch e.kind {
		case isString:
		case isNull:
			text = ""
		case isNumber, isBool:
			r.wrongType(&e.node, isString)
		default:
			r.wrongType(&e.node, isString)
			continue
		}
		list = append(list, label{e.key, text})
	}
	return list
}
