package policy

import (
	"slices"
	"strings"
)

// Document is a document that is no resource of a cluster, such as a policy
// test. It is read as resources are, so that every fault has a line and a
// column; what its values mean is for the caller to say.
type Document struct{ r *reading }

// Documents reads the documents of a file of YAML or JSON; faults are those of
// syntax. Empty documents are left out.
func Documents(file string, data []byte) ([]*Document, Faults) {
	var out []*Document
	var faults Faults
	for _, c := range split(data) {
		root, err := parse(c, &fastParser{})
		if err != nil {
			faults = append(faults, Fault{
				Origin: Origin{File: file, Line: err.line, Column: err.col}, Reason: err.msg, Code: "syntax",
			})
			continue
		}
		if root.kind != isNull {
			out = append(out, &Document{&reading{dec: NewDecoder(), file: file, root: root}})
		}
	}
	return out, faults
}

// Root is the whole document.
func (d *Document) Root() Value { return Value{d.r, d.r.root} }

// SetKey names the document in the faults that are found from now on.
func (d *Document) SetKey(k Key) { d.r.key = k }

// Faults are those found so far, in the order of lines.
func (d *Document) Faults() Faults {
	d.r.sortFaults()
	return d.r.faults
}

// Value is a value of a Document, or one that is not given. Its methods record
// faults with the document.
type Value struct {
	r *reading
	n *node // nil: not given
}

// Given says whether there is such a value; a null is none.
func (v Value) Given() bool { return v.n != nil && v.n.kind != isNull }

// IsMap says whether it is a mapping.
func (v Value) IsMap() bool { return v.n != nil && v.n.kind == isMap }

// IsList says whether it is a list.
func (v Value) IsList() bool { return v.n != nil && v.n.kind == isList }

// Origin is where it stands.
func (v Value) Origin() Origin {
	if v.n == nil {
		return Origin{File: v.r.file}
	}
	return v.r.origin(v.n.line, v.n.col)
}

// Get is the value of a key of a mapping.
func (v Value) Get(key string) Value { return Value{v.r, v.n.get(key)} }

// Check records what is wrong with a mapping that has these keys and no others;
// false: it is no mapping.
func (v Value) Check(known ...string) bool {
	if !v.IsMap() {
		v.r.wrongType(v.n, isMap)
		return false
	}
	v.r.twice(v.n)
	for i := range v.n.kids {
		if e := &v.n.kids[i]; !slices.Contains(known, e.key) {
			v.r.add(Fault{
				Origin: v.r.origin(e.line, e.col), Field: joinPath(pathOf(v.r.root, v.n), e.key),
				Reason: noSuchField, Fix: didYouMean(e.key, known), Code: "unknown-field",
			})
		}
	}
	return true
}

// Items are the items of a list; a value that is no list is a list of itself.
func (v Value) Items() []Value {
	if !v.Given() {
		return nil
	}
	if v.n.kind != isList {
		return []Value{v}
	}
	out := make([]Value, len(v.n.kids))
	for i := range v.n.kids {
		out[i] = Value{v.r, &v.n.kids[i].node}
	}
	return out
}

// Text is a string's text, "" if it is not given or, with a fault, no string.
func (v Value) Text() string { return strings.Clone(v.r.str(v.n)) }

// Scalar is the text of a string or number; anything else is a fault.
func (v Value) Scalar() string {
	if v.n != nil && v.n.kind == isNumber {
		return strings.Clone(v.n.text)
	}
	return v.Text()
}

// Fault records a fault of the value.
func (v Value) Fault(reason, fix string) {
	v.r.fault(v.n, Fault{Reason: reason, Fix: fix, Code: "bad-value"})
}

// OneOf is the text of a string that must be one of the words, in their
// spelling; "" if it is not given or, with a fault, none of them.
func (v Value) OneOf(words ...string) string {
	text := v.Text()
	if text == "" || slices.Contains(words, text) {
		return text
	}
	v.Fault("there is no such value", didYouMean(text, words))
	return ""
}
