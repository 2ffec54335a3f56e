package jsonlines

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func seeds(add func(string)) {
	for _, s := range []string{
		`{"a":1,"b":"x","in":{"c":true}}`, ` { "a" : [1, {"b":null}, "\u00e9\n"] , "b":-0.5e+3}`, `{}`, `{"a":1,"a":2}`, `{"A":1}`, `{"a":01}`, `{"a":1.}`,
		`{"a":"\x"}`, `{"a` + "\t" + `":1}`, `{"ſ":1}`, `{"a":tru}`, `{"in":{"c":1,"d":{}},"b":"12345678\"9abcdef` + "\x01" + `"}`, `{"in":{}}x`, `{"a":1}{}`,
		`{"a":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`, `{"a":"` + strings.Repeat("0123456789", 9) + `\\"}`, `[1]`, `{"a":1,}`, `{,}`, `{"a"}`, "{\"a\":\"\xff\"}",
		`{"a":1,"\u0061":2}`, "{\"a\xff\":1,\"a\":2}", "{\"\u212a\":1}", `{"in":null}`, `{"in":{"c":1},"IN":{"c":2}}`, `{"in":{"c":1},"in":{}}`, `{"in":[]}`, "\ufeff{}", "{\"a\":\x00}", "{\"a\":1}\x00",
		`{"a":18446744073709551616,"b":-0}`, `{"a":000}`, `{"a":1e400,"b":1E+}`, `{"a":999999999999999999,"b":9223372036854775808}`, `{"a":"\ud800","b":"\ud83d\ude00"}`, "{\"a\":\"\x7f\",\"b\":\"\u2028\"}",
		`{"a":"2026-02-29T12:00:00Z","b":"2024-02-29T12:00:00.123456789Z"}`, `{"a":"2026-03-01T24:00:00Z","b":"2026-03-01T12:00:60Z"}`, `{"a":"2026-03-01T12:00:00.Z","b":"2026-03-01T12:00:00.1234567890Z"}`,
		`{"a":"2026-03-01T12:00:00,5Z","b":"2026-03-01T12:00:00+00:00"}`, `{"a":"0000-01-01T00:00:00Z","b":"9999-12-31T23:59:59.999999999Z"}`, `{"a":"2026-03-01t12:00:00z"}`,
		`{"a":` + strings.Repeat(`{"x":`, deepest) + "1" + strings.Repeat("}", deepest) + `}`, `{"a":` + strings.Repeat("[", deepest+1) + strings.Repeat("]", deepest+1) + `}`,
	} {
		add(s)
	}
}

// agreeOnValues fails if skip takes for valid JSON what encoding/json does not,
// or the other way about, or Object reads other fields.
func agreeOnValues(t *testing.T, data []byte) {
	t.Helper()
	trimmed := bytes.Trim(data, " \t\r\n")
	mine, valid := skip(trimmed, 0, 0) == len(trimmed), json.Valid(data)
	if mine != valid && (mine || strings.Count(string(data), "[")+strings.Count(string(data), "{") < deepest) {
		t.Fatalf("%q: skip says %v, encoding/json %v", data, mine, valid)
	}
	var got struct{ a, b, c []byte }
	inside := NewNames("c")
	o := NewNames("a", "b", "in").Inside(2).Object(data)
	in := true
	for i, value := o.Next(); i >= 0 && in; i, value = o.Next() {
		switch i {
		case 0:
			got.a = value
		case 1:
			got.b = value
		case 2:
			inner := o.Inside(inside)
			for i, value := inner.Next(); i >= 0; i, value = inner.Next() {
				got.c = value
			}
			in = o.Leave(&inner)
		}
	}
	if !in || !o.Whole() {
		return // encoding/json decides
	}
	var want struct {
		A  json.RawMessage `json:"a"`
		B  json.RawMessage `json:"b"`
		In struct {
			C json.RawMessage `json:"c"`
		} `json:"in"`
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	if !bytes.Equal(got.a, want.A) || !bytes.Equal(got.b, want.B) || !bytes.Equal(got.c, want.In.C) {
		t.Fatalf("%q: got %s, want %s", data, got, want)
	}
	for _, value := range [][]byte{got.a, got.b, got.c} {
		agreeOnScalars(t, value)
	}
}

func agreeOnScalars(t *testing.T, value []byte) {
	t.Helper()
	if mine, ok := Text(value); ok {
		var want string
		if err := json.Unmarshal(value, &want); err != nil || want != string(mine) {
			t.Fatalf("%q: text %q, want %q, %v", value, mine, want, err)
		}
	}
	if mine, ok := Uint(value, 1<<62); ok {
		var want uint64
		if err := json.Unmarshal(value, &want); err != nil || want != mine {
			t.Fatalf("%q: number %d, want %d, %v", value, mine, want, err)
		}
	}
	if mine, ok := Bool(value); ok {
		var want bool
		if err := json.Unmarshal(value, &want); err != nil || want != mine {
			t.Fatalf("%q: %v, want %v, %v", value, mine, want, err)
		}
	}
	if mine, ok := TimeValue(value); ok {
		want, err := Decode[time.Time](value)
		if err != nil || !want.Equal(mine) {
			t.Fatalf("%q: %v, want %v, %v", value, mine, want, err)
		}
	}
}

// FuzzObject holds the parser of our own against encoding/json.
func FuzzObject(f *testing.F) {
	seeds(func(s string) { f.Add([]byte(s)) })
	f.Fuzz(agreeOnValues)
}

func TestTheParserOfOurOwnAgrees(t *testing.T) {
	seeds(func(s string) { agreeOnValues(t, []byte(s)) })
}
