package jsonlines

import (
	"encoding/json"
	"strings"
)

// Names are those of the fields that an object is read for.
type Names struct {
	byLen  [longestName][]name
	inside uint64
}

type name struct {
	text  string
	index int
}

// longestName bounds names, in bytes.
const longestName = 64

// NewNames makes the names, at most 64 of them, which are ASCII; fields are told
// by their places.
func NewNames(names ...string) *Names {
	n := &Names{}
	for i, text := range names {
		n.byLen[len(text)] = append(n.byLen[len(text)], name{text, i})
	}
	return n
}

// Inside says of which places the values are objects that are read in turn, by
// Object.Inside: they are not looked at before.
func (n *Names) Inside(places ...int) *Names {
	for _, i := range places {
		n.inside |= 1 << i
	}
	return n
}

// find is the place of a field's name, -1 if it has none; false if encoding/json
// may take it for another one.
func (n *Names) find(field []byte) (int, bool) {
	if len(field) >= longestName {
		return -1, true
	}
	for i := range n.byLen[len(field)] {
		known := &n.byLen[len(field)][i]
		if string(field) == known.text {
			return known.index, true
		}
		if strings.EqualFold(known.text, string(field)) {
			return -1, false
		}
	}
	return -1, true
}

// Object goes through the fields of a JSON object.
type Object struct {
	names *Names
	data  []byte
	at    int
	seen  uint64
	state state
	// within another one, so something comes after it
	within bool
}

type state uint8

const (
	atStart state = iota
	atField
	atEnd
	failed
)

// Object begins to read an object.
func (n *Names) Object(data []byte) Object { return Object{names: n, data: data} }

// Next is the next field that has a name: the name's place, and the value as it
// is written, which is valid JSON. It is -1 after the last one, or where
// encoding/json has to decide; Whole tells which.
func (o *Object) Next() (index int, value []byte) {
	for o.state < atEnd {
		if index, value = o.next(); index >= 0 {
			return index, value
		}
	}
	return -1, nil
}

// Whole says whether all was read.
func (o *Object) Whole() bool { return o.state == atEnd }

// next reads a field; -1 if it is one without a name.
func (o *Object) next() (int, []byte) {
	if !o.enter() {
		return -1, nil
	}
	from := o.at
	o.at = plainEnd(o.data, from)
	field := o.data[from:o.at]
	if o.at >= len(o.data) || o.data[o.at] != '"' || !ascii(field) {
		return o.fail()
	}
	o.at++
	if !o.take(':') {
		return o.fail()
	}
	o.space()
	index, ok := o.names.find(field)
	if !ok || index >= 0 && o.seen&(1<<index) != 0 {
		return o.fail() // encoding/json knows what that means
	}
	if index >= 0 {
		o.seen |= 1 << index
		if o.names.inside&(1<<index) != 0 {
			return index, o.data[o.at:]
		}
	}
	from = o.at
	if o.at = skip(o.data, o.at, 0); o.at < 0 {
		return o.fail()
	}
	return index, o.data[from:o.at]
}

// Inside is the object that the field has which Next told last. It has to be read
// whole before the next field: then Leave.
func (o *Object) Inside(names *Names) Object {
	return Object{names: names, data: o.data[o.at:], within: true}
}

// Leave goes on behind an object that was Inside; false if encoding/json has to
// decide about it.
func (o *Object) Leave(inside *Object) bool {
	o.at += inside.at
	return inside.Whole()
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// enter goes to the name of the next field, behind its quote; false at the end.
func (o *Object) enter() bool {
	switch {
	case o.state == atStart:
		if !o.take('{') {
			o.fail()
			return false
		}
		o.state = atField
		if o.take('}') {
			return o.leave()
		}
	case o.take('}'):
		return o.leave()
	case !o.take(','):
		o.fail()
		return false
	}
	if !o.take('"') {
		o.fail()
		return false
	}
	return true
}

// leave ends the object, after which nothing may come.
func (o *Object) leave() bool {
	o.state = atEnd
	if o.within {
		return false
	}
	if o.space(); o.at != len(o.data) {
		o.state = failed
	}
	return false
}

func (o *Object) fail() (int, []byte) {
	o.state = failed
	return -1, nil
}

func (o *Object) space() {
	for o.at < len(o.data) && blank(o.data[o.at]) {
		o.at++
	}
}

func (o *Object) take(c byte) bool {
	o.space()
	if o.at >= len(o.data) || o.data[o.at] != c {
		return false
	}
	o.at++
	return true
}

// IsNull says whether a value is null.
func IsNull(value []byte) bool { return string(value) == "null" }

// Text is the text of a value; false if it is none, or is not written plainly.
func Text(value []byte) ([]byte, bool) {
	n := len(value)
	if n < 2 || value[0] != '"' {
		return nil, false
	}
	for _, c := range value[1 : n-1] {
		if !plain(c) || c >= 0x80 {
			return nil, false
		}
	}
	return value[1 : n-1], value[n-1] == '"'
}

// Uint is a whole number of at most so many; false if the value is none.
func Uint(value []byte, most uint64) (n uint64, ok bool) {
	if len(value) == 0 || len(value) > 18 || len(value) > 1 && value[0] == '0' {
		return 0, false
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, n <= most
}

// Bool is true or false; false if the value is neither.
func Bool(value []byte) (b, ok bool) {
	return string(value) == "true", string(value) == "true" || string(value) == "false"
}

// Decode is what encoding/json makes of a value.
func Decode[T any](value []byte) (*T, error) {
	out := new(T)
	return out, json.Unmarshal(value, out)
}
