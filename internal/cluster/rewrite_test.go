package cluster

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"
)

// value draws a JSON value of at most some depth, with the texts that YAML
// finds hard.
func value(depth int) *rapid.Generator[any] {
	scalars := rapid.SampledFrom([]any{
		"", "a", "app == 'db'", "!has(x)", "8000:8080", "no", "1", "1.0", "null", "~", "- x", "# x", "a: b", "two\nlines", " lead",
		"trail ", "{x}", "*x", "&x", "é≥", "\"", "'", int64(0), int64(5432), int64(-7), 1.5, true, false, nil,
	})
	if depth == 0 {
		return scalars
	}
	return rapid.OneOf(scalars,
		rapid.Map(rapid.SliceOfN(value(depth-1), 0, 4), func(l []any) any { return l }),
		rapid.Map(mapping(depth-1), func(m map[string]any) any { return m }))
}

func mapping(depth int) *rapid.Generator[map[string]any] {
	keys := rapid.SampledFrom([]string{"order", "selector", "tier", "ingress", "x", "y", "a/b", "n", "on", "1"})
	return rapid.MapOfN(keys, value(depth), 0, 4)
}

func draw(t *rapid.T, label string) map[string]any {
	m := mapping(3).Draw(t, label)
	m["apiVersion"], m["kind"] = "projectcalico.org/v3", "NetworkPolicy"
	m["metadata"] = map[string]any{"name": "x"}
	return m
}

func jsonOf(t *rapid.T, v any) string {
	js, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(js)
}

// TestRewriteSaysWhatItIsTold: whatever a document said and is to say, the
// text after the edit says the new, and a comment at its head stays.
func TestRewriteSaysWhatItIsTold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, fresh := draw(t, "old"), draw(t, "fresh")
		raw, err := Render(&unstructured.Unstructured{Object: old})
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed(t, raw); jsonOf(t, got) != jsonOf(t, old) {
			t.Fatalf("rendered as:\n%s\nwhich says %v", raw, got)
		}
		asJSON := rapid.Bool().Draw(t, "json")
		if asJSON {
			raw = []byte(jsonOf(t, old))
		} else {
			raw = append([]byte("---\n# kept\n"), raw...)
		}
		out, err := rewrite(raw, -1, fresh, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed(t, out); jsonOf(t, got) != jsonOf(t, fresh) {
			t.Fatalf("from\n%s\ncame\n%s\nwhich says %v", raw, out, got)
		}
		if !asJSON && !strings.Contains(string(out), "# kept") {
			t.Fatalf("the comment is gone:\n%s", out)
		}
		again, err := rewrite(out, -1, fresh, nil)
		if err != nil || string(again) != string(out) {
			t.Fatalf("not stable: %v\n%s\n%s", err, out, again)
		}
	})
}

func parsed(t *rapid.T, raw []byte) map[string]any {
	u, _ := parseObjects(raw)
	if u == nil {
		t.Fatalf("no resource in\n%s", raw)
	}
	return u.Object
}

// FuzzSplitDocuments: every byte is in one document, and documents are what
// the decoder takes for them.
func FuzzSplitDocuments(f *testing.F) {
	f.Add("a: 1\n---\nb: 2\n")
	f.Add("%YAML 1.2\n---\na\n...\n# c\n---\n")
	f.Add("--- x\n---y\n----\n\r\n---\r\nz")
	f.Fuzz(func(t *testing.T, text string) {
		at := 0
		for _, s := range splitDocuments([]byte(text)) {
			if s.start != at || s.end <= s.start {
				t.Fatalf("span %v after %d", s, at)
			}
			at = s.end
		}
		if at != len(text) {
			t.Fatalf("ends at %d of %d", at, len(text))
		}
		Objects([]byte(text)) // must not panic
	})
}

// What is added to a list gets its comment, what is there keeps its own, and a
// document that has no lines for comments is written without.
func TestCommentsOnWhatIsAdded(t *testing.T) {
	rule := func(port int64) map[string]any {
		return map[string]any{"action": "Allow", "destination": map[string]any{"ports": []any{port}}}
	}
	object := func(rules ...any) map[string]any {
		return map[string]any{"kind": "NetworkPolicy", "spec": map[string]any{"ingress": rules}}
	}
	for name, c := range map[string]struct{ before, want string }{
		"behind others": {
			"kind: NetworkPolicy\nspec:\n  ingress:\n    # by hand\n    - action: Allow # yes\n      destination:\n        ports: [1]\n# the end\n",
			"kind: NetworkPolicy\nspec:\n  ingress:\n    # by hand\n    - action: Allow # yes\n      destination:\n        ports: [1]\n    # from a\n    # from b\n    - action: Allow\n      destination:\n        ports:\n          - 2\n# the end\n",
		},
		"a new list": {
			"kind: NetworkPolicy\nspec:\n  x: 1\n",
			"kind: NetworkPolicy\nspec:\n  ingress:\n  - action: Allow\n    destination:\n      ports:\n      - 1\n  # from a\n  # from b\n  - action: Allow\n    destination:\n      ports:\n      - 2\n",
		},
		"in brackets": {
			"kind: NetworkPolicy\nspec: {ingress: [{action: Allow, destination: {ports: [1]}}]}\n",
			"",
		},
		"JSON": {
			`{"kind": "NetworkPolicy", "spec": {"ingress": [{"action": "Allow", "destination": {"ports": [1]}}]}}` + "\n",
			"",
		},
	} {
		out, err := rewrite([]byte(c.before), -1, object(rule(1), rule(2)), Comments{"ingress": {0: "", 1: "# from a\n# from b"}, "egress": {0: "# no"}})
		if err != nil {
			t.Fatal(name, err)
		}
		if c.want != "" && string(out) != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", name, out, c.want)
		}
		if c.want == "" && bytes.Contains(out, []byte("#")) {
			t.Errorf("%s: got\n%s", name, out)
		}
		if u, _ := parseObjects(out); u == nil || !SameValue(u.Object, object(rule(1), rule(2))) {
			t.Errorf("%s: it says something else:\n%s", name, out)
		}
	}
}
