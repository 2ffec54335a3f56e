package policy

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
)

// schema is what a document's part may hold, made from the Go type that the
// API itself decodes it into, so that it can't fall behind the API.
type schema struct {
	kind   nodeKind
	any    bool // decides itself what it takes (ports, times, quantities)
	fields map[string]*schema
	names  []string // of fields, sorted
	elem   *schema  // of a list's items or of a mapping's values
}

// schemaOf makes the schema of T.
func schemaOf[T any]() *schema { return schemaOfType(reflect.TypeFor[T]()) }

func schemaOfType(t reflect.Type) *schema {
	if t.Kind() == reflect.Pointer {
		return schemaOfType(t.Elem())
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return &schema{any: true}
	}
	switch t.Kind() {
	case reflect.String:
		return &schema{kind: isString}
	case reflect.Bool:
		return &schema{kind: isBool}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return &schema{kind: isString}
		}
		return &schema{kind: isList, elem: schemaOfType(t.Elem())}
	case reflect.Map:
		return &schema{kind: isMap, elem: schemaOfType(t.Elem())}
	case reflect.Struct:
		s := &schema{kind: isMap, fields: map[string]*schema{}}
		s.addFields(t)
		for name := range s.fields {
			s.names = append(s.names, name)
		}
		slices.Sort(s.names)
		return s
	case reflect.Interface:
		return &schema{any: true}
	}
	return &schema{kind: isNumber}
}

func (s *schema) addFields(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && f.Anonymous:
			s.addFields(f.Type)
		case name != "":
			s.fields[name] = schemaOfType(f.Type)
		}
	}
}

// field is a part of s by the path of keys; nil if there is none.
func (s *schema) field(keys ...string) *schema {
	for _, k := range keys {
		if s = s.fields[k]; s == nil {
			return nil
		}
		for s.kind == isList && s.elem != nil {
			s = s.elem
		}
	}
	return s
}

// noSuchField is the reason of the fault that an unknown field is.
const noSuchField = "there is no such field"

// givenTwice is the reason of the fault that a repeated key is: which of the
// two counts differs from reader to reader.
const givenTwice = "the field is given twice"

// check adds a fault for every unknown field and every value of the wrong type
// in n, leaving out the fields in skip (at this level).
func (r *reading) check(n *node, s *schema, skip ...string) {
	if n == nil || n.kind == isNull || s.any {
		return
	}
	if n.kind != s.kind {
		r.wrongType(n, s.kind)
		return
	}
	r.twice(n)
	for i := range n.kids {
		e := &n.kids[i]
		switch {
		case s.kind == isList && e.kind == isNull && !s.elem.any:
			r.wrongType(&e.node, s.elem.kind) // absent it can't be: it has a place in the list
		case s.kind == isList || s.fields == nil:
			r.check(&e.node, s.elem)
		case slices.Contains(skip, e.key): // whether the type has it or not: a controller's status may be newer than the type
		case s.fields[e.key] == nil:
			r.add(Fault{
				Origin: r.origin(e.line, e.col),
				Field:  joinPath(pathOf(r.root, n), e.key),
				Reason: noSuchField,
				Code:   CodeUnknownField,
				Fix:    s.fixField(e.key),
			})
		default:
			r.check(&e.node, s.fields[e.key])
		}
	}
}

// checkRule is check for a rule, which can't be null either.
func (r *reading) checkRule(n *node, s *schema) {
	if n.kind == isNull {
		r.wrongType(n, isMap)
		return
	}
	r.check(n, s)
}

// twice adds a fault for a key that a mapping has twice.
func (r *reading) twice(n *node) {
	if n.kind != isMap {
		return
	}
	if e := duplicateIn(n.kids); e != nil {
		r.add(Fault{
			Origin: r.origin(e.line, e.col),
			Field:  joinPath(pathOf(r.root, n), e.key),
			Reason: givenTwice,
			Code:   CodeDuplicate,
			Fix:    "remove one",
		})
	}
}

// twiceAnywhere does so for n and all that is in it.
func (r *reading) twiceAnywhere(n *node) {
	r.twice(n)
	for i := range n.kids {
		if len(n.kids[i].kids) > 0 {
			r.twiceAnywhere(&n.kids[i].node)
		}
	}
}

func (r *reading) wrongType(n *node, want nodeKind) {
	f := Fault{Code: CodeWrongType, Reason: "expected " + want.String() + ", got " + n.kind.String()}
	if want == isString && (n.kind == isNumber || n.kind == isBool) {
		f.Fix = `put it in quotes: "` + shorten(n.text) + `"`
	}
	r.fault(n, f)
}
