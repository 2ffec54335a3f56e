package selector_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

func TestImplies(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want bool
	}{
		{`app == "a"`, ``, true},
		{``, `app == "a"`, false},
		{`app == "a"`, `app == "a"`, true},
		{`app == "a"`, `app == "b"`, false},
		{`app == "a"`, `role == "a"`, false},
		{`app == "a"`, `app in {"a", "b"}`, true},
		{`app in {"a", "b"}`, `app == "a"`, false},
		{`app in {"a", "b"}`, `app in {"a", "b", "c"}`, true},
		{`app in {"a", "b"}`, `app not in {"c"}`, true},
		{`app in {"a", "c"}`, `app != "c"`, false},
		{`app == "web-1"`, `app starts with "web"`, true},
		{`app == "web-1"`, `has(app)`, true},
		{`app != "a"`, `has(app)`, false},
		{`app starts with "web-"`, `app starts with "web"`, true},
		{`app starts with "web"`, `app starts with "web-"`, false},
		{`app ends with "-db"`, `app contains "db"`, true},
		{`app contains "db"`, `has(app)`, true},
		{`app not in {"a", "b"}`, `app != "a"`, true},
		{`app != "a"`, `app not in {"a", "b"}`, false},
		{`!has(app)`, `app != "a"`, true},
		{`!has(app)`, `app not in {"a"} || x == "y"`, true},
		{`!has(app)`, `role != "a"`, false},
		{`app == "a" && role == "b"`, `role == "b"`, true},
		{`role == "b"`, `app == "a" && role == "b"`, false},
		{`app == "a" || app == "b"`, `app in {"a", "b"}`, true},
		{`app == "a" || role == "b"`, `app == "a"`, false},
		{`app == "a"`, `app == "a" || role == "b"`, true},
		{`app == "a" && role == "b" && x == "y"`, `x == "y" && app == "a"`, true},
		{`!(app == "a" || app == "b")`, `!(app == "a")`, true},
		{`app == "a"`, `!(app == "b")`, true},
		{`app == "a"`, `!(app == "a")`, false},
	} {
		if got := selector.Implies(parse(t, tc.a), parse(t, tc.b)); got != tc.want {
			t.Errorf("%q implies %q: got %v", tc.a, tc.b, got)
		}
	}
	if !selector.Implies(nil, nil) || selector.Implies(parse(t, "global()"), parse(t, "all() && has(x)")) {
		t.Error("all() and global()")
	}
}

func parse(t *testing.T, text string) *selector.Selector {
	t.Helper()
	s, err := selector.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestImpliesIsCertain: what is said to imply another never matches labels
// that the other does not.
func TestImpliesIsCertain(t *testing.T) {
	atom := rapid.Custom(func(t *rapid.T) string {
		label := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "label")
		value := rapid.SampledFrom([]string{"x", "xy", "y"})
		switch v := value.Draw(t, "value"); rapid.IntRange(0, 8).Draw(t, "op") {
		case 0:
			return fmt.Sprintf("%s == '%s'", label, v)
		case 1:
			return fmt.Sprintf("%s != '%s'", label, v)
		case 2:
			return fmt.Sprintf("%s in {'%s', '%s'}", label, v, value.Draw(t, "other"))
		case 3:
			return fmt.Sprintf("%s not in {'%s', '%s'}", label, v, value.Draw(t, "other"))
		case 4:
			return fmt.Sprintf("%s starts with '%s'", label, v)
		case 5:
			return fmt.Sprintf("%s ends with '%s'", label, v)
		case 6:
			return fmt.Sprintf("%s contains '%s'", label, v)
		}
		return "has(" + label + ")"
	})
	var expr func(depth int) *rapid.Generator[string]
	expr = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			if depth == 0 {
				return atom.Draw(t, "atom")
			}
			switch rapid.IntRange(0, 3).Draw(t, "shape") {
			case 0:
				return "!(" + expr(depth-1).Draw(t, "not") + ")"
			case 1:
				return strings.Join(rapid.SliceOfN(expr(depth-1), 1, 3).Draw(t, "and"), " && ")
			case 2:
				return "(" + strings.Join(rapid.SliceOfN(expr(depth-1), 1, 3).Draw(t, "or"), " || ") + ")"
			}
			return atom.Draw(t, "atom")
		})
	}
	values := []string{"", "x", "xy", "y", "yx", "z"} // "": the label is absent
	rapid.Check(t, func(t *rapid.T) {
		a, errA := selector.Parse(expr(2).Draw(t, "a"))
		b, errB := selector.Parse(expr(2).Draw(t, "b"))
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if !selector.Implies(a, b) {
			return
		}
		for _, va := range values {
			for _, vb := range values {
				labels := selector.Labels{}
				if va != "" {
					labels["a"] = va
				}
				if vb != "" {
					labels["b"] = vb
				}
				if a.Matches(labels) && !b.Matches(labels) {
					t.Fatalf("%s does not imply %s: %v", a, b, labels)
				}
			}
		}
	})
}

func TestEqualities(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "[]",
		`a == "x"`:                           "[{a x}]",
		`a == "x" && b in {"y"} && c == "z"`: "[{a x} {c z}]",
		`a == "x" || c == "z"`:               "[]",
	} {
		if got := fmt.Sprint(parse(t, text).Equalities()); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
