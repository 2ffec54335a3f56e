package policy

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"
)

// sameValue compares two trees without their places.
func sameValue(a, b *node) bool {
	if a.kind != b.kind || a.text != b.text || len(a.kids) != len(b.kids) {
		return false
	}
	for i := range a.kids {
		if a.kids[i].key != b.kids[i].key || !sameValue(&a.kids[i].node, &b.kids[i].node) {
			return false
		}
	}
	return true
}

// withoutManaged drops what servedParser passes over.
func withoutManaged(n *node, within string) {
	n.kids = slices.DeleteFunc(n.kids, func(e entry) bool {
		return n.kind == isMap && within == "metadata" && e.key == "managedFields"
	})
	for i := range n.kids {
		withoutManaged(&n.kids[i].node, n.kids[i].key)
	}
}

var servedTexts = []string{
	`{}`, `[]`, `null`, `true`, `-1.5e3`, `"a"`, `{"a":{"b":[1,"two",null,false,{"c":[]}]}}`,
	`"\u0026\u0026 \" \\ \n ü \ud83d\ude00"`, `"\\"`, `{"\\":"\\\""}`, " {\n \"a\" : [ 1 , 2 ] }\n",
	`{"metadata":{"managedFields":[{"a":"]}\"\\"},1,true,null],"name":"x"}}`, `{"managedFields":[1]}`,
	`{"metadata":{"managedFields":7,"x":1}}`, `{"metadata":{"x":1,"managedFields":{}}}`,
	// and what is none:
	``, `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `[1,]`, `[1 2]`, `{"a":1}{}`, `nul`, `"a`, `"a\"`, `{"metadata":{"managedFields":[}}`,
	`{"metadata":{"managedFields":"x`, `{1:2}`, `tru`, `"\x"`,
}

func checkServed(t *testing.T, text string) {
	t.Helper()
	p := &servedParser{}
	p.begin([]byte(text))
	got := p.value()
	err := p.end()
	if !json.Valid([]byte(text)) || !utf8.ValidString(text) {
		return // whatever it makes of that, it must not panic
	}
	want, syntax := parseJSON([]byte(text), 1)
	if syntax != nil {
		return
	}
	withoutManaged(want, "")
	if err != nil || !sameValue(&got, want) {
		t.Errorf("%q: %v, got %+v, want %+v", text, err, got, *want)
	}
}

func TestServedParser(t *testing.T) {
	for _, text := range servedTexts {
		checkServed(t, text)
	}
	for _, text := range servedTexts[slices.Index(servedTexts, ``):] {
		p := &servedParser{}
		p.begin([]byte(text))
		p.value()
		if p.end() == nil {
			t.Errorf("%q passed for JSON", text)
		}
	}
}

func FuzzServedParser(f *testing.F) {
	for _, text := range servedTexts {
		f.Add(text)
	}
	f.Fuzz(checkServed)
}
