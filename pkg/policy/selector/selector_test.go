package selector_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

var web = selector.Labels{"app": "web", "tier": "front", "k8s.io/name": "web-1"}

func TestS25_Matches(t *testing.T) {
	for in, want := range map[string]bool{
		"":                               true,
		"  ":                             true,
		"all()":                          true,
		"global()":                       false,
		"app == 'web'":                   true,
		`app=="web"`:                     true,
		"app == 'we'":                    false,
		"app != 'web'":                   false,
		"app != 'db'":                    true,
		"app in {'db', 'web'}":           true,
		"app in {'db'}":                  false,
		"app in {}":                      false,
		"app in {'web',}":                true,
		"app not in {'db'}":              true,
		"app notin {'web'}":              false,
		"app not in {}":                  true,
		"app contains 'e'":               true,
		"app contains 'x'":               false,
		"app starts with 'we'":           true,
		"app startswith 'eb'":            false,
		"app ends with 'eb'":             true,
		"app endswith 'we'":              false,
		"has(app)":                       true,
		"has( app )":                     true,
		"has(nope)":                      false,
		"!has(nope)":                     true,
		"! ! has(app)":                   true,
		"k8s.io/name starts with 'web'":  true,
		"app == 'web' && tier=='front'":  true,
		"app=='web'&&tier=='back'":       false,
		"app == 'db' || tier == 'front'": true,
		"(app == 'db' || app == 'web') && has(tier)": true,
		"app\n==\t'web'": true,
	} {
		if got := selector.MustParse(in).Matches(web); got != want {
			t.Errorf("%q on web: %v, want %v", in, got, want)
		}
	}
}

func TestS25_AbsentLabel(t *testing.T) {
	for in, want := range map[string]bool{
		"x != 'a'": true, "x not in {'a'}": true, "x notin {'a'}": true,
		"x == 'a'": false, "x == ''": false, "x in {'a', ''}": false, "x contains ''": false,
		"x starts with ''": false, "x ends with ''": false, "has(x)": false,
	} {
		sel := selector.MustParse(in)
		if got := sel.Matches(web); got != want {
			t.Errorf("%q on labels without x: %v, want %v", in, got, want)
		}
		if got := sel.Matches(nil); got != want {
			t.Errorf("%q on no labels: %v, want %v", in, got, want)
		}
	}
}

func TestS25_EmptyValueIsPresent(t *testing.T) {
	l := selector.Labels{"x": ""}
	for in, want := range map[string]bool{"has(x)": true, "x == ''": true, "x != ''": false, "x contains ''": true, "x in {''}": true} {
		if got := selector.MustParse(in).Matches(l); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

// Every row of the truth table tells the two readings apart somewhere.
func TestS25_Precedence(t *testing.T) {
	for _, c := range []struct{ plain, grouped string }{
		{"!has(a) && has(b)", "(!has(a)) && has(b)"},
		{"!has(a) || has(b)", "(!has(a)) || has(b)"},
		{"has(a) || has(b) && has(c)", "has(a) || (has(b) && has(c))"},
		{"has(a) && has(b) || has(c)", "(has(a) && has(b)) || has(c)"},
		{"!a == 'x' && has(b)", "(!(a == 'x')) && has(b)"},
		{"has(a) || !has(b) && has(c) || has(d)", "has(a) || ((!has(b)) && has(c)) || has(d)"},
	} {
		p, g := selector.MustParse(c.plain), selector.MustParse(c.grouped)
		for bits := range 16 {
			l := selector.Labels{}
			for i, name := range []string{"a", "b", "c", "d"} {
				if bits&(1<<i) != 0 {
					l[name] = "x"
				}
			}
			if p.Matches(l) != g.Matches(l) {
				t.Errorf("%q and %q differ on %v", c.plain, c.grouped, l)
			}
		}
	}
}

func TestS25_Canonical(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "all()",
		" all( ) ":                         "all()",
		"global()":                         "global()",
		"a=='b'":                           `a == "b"`,
		"a != 'b'":                         `a != "b"`,
		"a in {'c','b','c', 'a'}":          `a in {"a", "b", "c"}`,
		"a notin {'c','b'}":                `a not in {"b", "c"}`,
		"a in {}":                          `a in {}`,
		"a startswith 'x'":                 `a starts with "x"`,
		"a ends  with 'x'":                 `a ends with "x"`,
		"a contains 'x'":                   `a contains "x"`,
		`a == 'say "hi"'`:                  `a == 'say "hi"'`,
		"((has(a)))":                       "has(a)",
		"! has(a)":                         "!has(a)",
		"!(has(a)&&has(b))":                "!(has(a) && has(b))",
		"has(a) && has(b) || has(c)":       "(has(a) && has(b)) || has(c)",
		"has(a) && (has(b) || has(c))":     "has(a) && (has(b) || has(c))",
		"(has(a) && has(b)) && has(c)":     "has(a) && has(b) && has(c)",
		"has(a) || (has(b) || has(c))":     "has(a) || has(b) || has(c)",
		"in in {'in'} && not not in {'x'}": `in in {"in"} && not not in {"x"}`,
		"all == 'x' || has == 'y'":         `all == "x" || has == "y"`,
	} {
		s := selector.MustParse(in)
		if s.String() != want {
			t.Errorf("%q: %s, want %s", in, s, want)
		}
		if again := selector.MustParse(s.String()).String(); again != want {
			t.Errorf("%q: parsed again: %s, want %s", in, again, want)
		}
	}
}

// The spaced form of a selector near the bound is too long to be parsed, so
// another form has to stand in.
func TestS25_CanonicalFitsTheBound(t *testing.T) {
	in := strings.Repeat("a==''&&b==''||", 80)[:80*14-2]
	in = in[:strings.LastIndex(in[:selector.MaxLength], "||")]
	s := selector.MustParse(in)
	again, err := selector.Parse(s.String())
	if err != nil || again.String() != s.String() {
		t.Fatalf("canonical form of %d characters: %v", len(s.String()), err)
	}
}

func TestS25_Errors(t *testing.T) {
	for _, c := range []struct {
		in     string
		column int
		parts  []string
	}{
		{"app = 'db'", 5, []string{"expected ==", `found "="`, "=="}},
		{"app == db", 8, []string{"a string in quotes", `found "db"`, "'db'"}},
		{"app == 'db", 11, []string{"closing '", "the end", "column 8"}},
		{"app", 4, []string{"starts with", "the end"}},
		{"app == 'a' & x == 'b'", 12, []string{"&&", `"&"`}},
		{"app == 'a' and x == 'b'", 12, []string{"&&", `"and"`}},
		{"app == 'a' | x == 'b'", 12, []string{"||"}},
		{"not has(app)", 5, []string{"expected =="}},
		{"(app == 'a'", 12, []string{")", "the end"}},
		{"app == 'a')", 11, []string{"the end", `")"`}},
		{"app in 'a'", 8, []string{"a set"}},
		{"app in {'a' 'b'}", 13, []string{", or }"}},
		{"app in {'a'", 12, []string{", or }", "the end"}},
		{"app in {a}", 9, []string{"a string in quotes"}},
		{"has()", 5, []string{"a label"}},
		{"has(a b)", 7, []string{")"}},
		{"all(x)", 5, []string{")"}},
		{"hass(a)", 1, []string{"has(), all() or global()", `"hass"`}},
		{"&& has(a)", 1, []string{"a label"}},
		{"has(a) &&", 10, []string{"a label", "the end"}},
		{"'a' == a", 1, []string{"a label"}},
		{"ü == 'ä' é", 1, []string{"a label", `"ü"`}},
		{"a == 'ä' é", 10, []string{"&&", `"é"`}},
		{"a not == 'b'", 3, []string{"not in"}},
		{"a starts 'b'", 3, []string{"starts with"}},
		{strings.Repeat("x", 513) + " == 'a'", 1, []string{"at most 512"}},
		{"a == '" + strings.Repeat("x", 1020) + "'", 1025, []string{"1024"}},
	} {
		_, err := selector.Parse(c.in)
		var e *selector.Error
		if !errors.As(err, &e) {
			t.Errorf("%q: %v, want an *Error", c.in, err)
			continue
		}
		if e.Column != c.column {
			t.Errorf("%q: column %d, want %d (%v)", c.in, e.Column, c.column, e)
		}
		for _, part := range c.parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %q does not mention %q", c.in, err, part)
			}
		}
	}
}

func TestS25_Bounds(t *testing.T) {
	for _, ok := range []string{
		strings.Repeat("x", 512) + " == 'a'",
		"a == '" + strings.Repeat("ü", 1017) + "'",
		strings.Repeat("!", 1018) + "has(a)",
		strings.Repeat("(", 509) + "has(a)" + strings.Repeat(")", 509),
	} {
		if _, err := selector.Parse(ok); err != nil {
			t.Errorf("%.20q…: %v", ok, err)
		}
	}
}

func TestGlobal(t *testing.T) {
	for in, want := range map[string][2]bool{
		"global()": {true, true}, "all()": {false, false}, "!global()": {false, true},
		"has(a) || global()": {false, true}, "(global())": {true, true},
	} {
		s := selector.MustParse(in)
		if got := [2]bool{s.Global(), s.UsesGlobal()}; got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
	}
}

func TestNilIsAll(t *testing.T) {
	var s *selector.Selector
	if !s.Matches(nil) || s.String() != "all()" || s.Global() || !s.All() || s.LabelNames() != nil {
		t.Error("a nil selector is not all()")
	}
}

func TestConstructors(t *testing.T) {
	a, b := selector.Eq("a", "1"), selector.Has("b")
	for want, s := range map[string]*selector.Selector{
		"all()":                 selector.And(),
		`a == "1"`:              selector.And(nil, a, selector.All()),
		`a == "1" && has(b)`:    selector.And(a, b),
		`a == "1" || has(b)`:    selector.Or(a, b),
		`!(a == "1" || has(b))`: selector.Not(selector.Or(a, b)),
		`a in {"1", "2"}`:       selector.In("a", "2", "1", "2"),
		`a == "2"`:              selector.In("a", "2"),
		`a not in {"1"}`:        selector.NotIn("a", "1"),
		`!all()`:                selector.Or(),
	} {
		if s.String() != want {
			t.Errorf("%s, want %s", s, want)
		}
		if p := selector.MustParse(want); p.String() != want {
			t.Errorf("%s parses as %s", want, p)
		}
	}
}

func TestValues(t *testing.T) {
	for in, want := range map[string][]string{
		"ns == 'a'":                    {"a"},
		"ns in {'b', 'a'}":             {"a", "b"},
		"ns == 'c' || ns in {'b','c'}": {"b", "c"},
		"ns == 'c' || app == 'x'":      nil,
		"ns == 'c' && app == 'x'":      nil,
		"ns != 'c'":                    nil,
		"all()":                        nil,
	} {
		got, ok := selector.MustParse(in).Values("ns")
		if !slices.Equal(got, want) || ok != (want != nil) {
			t.Errorf("%q: %v %v, want %v", in, got, ok, want)
		}
	}
}

func TestLabelNames(t *testing.T) {
	got := selector.MustParse("b == 'x' && (has(a) || !b in {'y'}) && all()").LabelNames()
	if !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%v", got)
	}
}

func TestMatchesDoesNotAllocate(t *testing.T) {
	s := selector.MustParse("app in {'a','web'} && (has(tier) || !x contains 'y') && k8s.io/name starts with 'web'")
	if n := testing.AllocsPerRun(100, func() { s.Matches(web) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "a == 'b'", "!a in {'x', \"y\"} && (has(b) || c ends with 'z')", "global() || a notin {}", "a = b", "a == 'x' && b != 'y' || !has(c)"} {
		f.Add(s, "a", "b", "c")
	}
	f.Fuzz(func(t *testing.T, in, va, vb, name string) {
		s, err := selector.Parse(in)
		if err != nil {
			var e *selector.Error
			if !errors.As(err, &e) || e.Column < 1 || e.Expected == "" || e.Found == "" {
				t.Fatalf("%q: poor error %#v", in, err)
			}
			return
		}
		again, err := selector.Parse(s.String())
		if err != nil {
			t.Fatalf("%q: canonical form %q: %v", in, s, err)
		}
		if again.String() != s.String() {
			t.Fatalf("%q: canonical form %q becomes %q", in, s, again)
		}
		for _, l := range []selector.Labels{nil, {"a": va}, {"a": va, "b": vb}, {name: va, "c": vb}} {
			if s.Matches(l) != again.Matches(l) {
				t.Fatalf("%q and %q differ on %v", in, s, l)
			}
		}
	})
}

func BenchmarkMatches(b *testing.B) {
	s := selector.MustParse("app == 'web' && tier in {'back', 'front'}")
	b.ReportAllocs()
	for b.Loop() {
		s.Matches(web)
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = selector.Parse("app == 'web' && tier in {'back', 'front'}")
	}
}
