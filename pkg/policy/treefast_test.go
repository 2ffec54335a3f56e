package policy

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fastSeeds are documents that the fast parser should take, and some that it
// must leave to the real one.
var fastSeeds = []string{
	"a: b\nc:\n  d: e\n  f:\n  - g\n  - h: i\n    j: k\n  -\n    l: m\n  - - n\n    - o\n",
	"a:\nb: null\nc: ~\nd: 'x'\ne: \"y: z\" # comment\n# comment\n\nf: g h # i\n",
	"a: [b, 'c', 1, {d: e, \"f\": true}]\ng: {}\nh: []\ni: [ ]\n",
	"---\na: 1\nb: 1.5\nc: 0x1f\nd: 010\ne: -3\nf: +4\ng: .5\nh: 1e3\ni: 2026-01-02\nj: 1_000\nk: 10.0.0.1\nl: .inf\nm: yes\nn: True\no: 5m\np: 0\n",
	"- a\n-\n- b\n",
	"a: b\n  c\n", "a: |\n  b\n", "a: &x b\nc: *x\n", "a: 'b\n  c'\n", "a: \"b\\n\"\n", "a: 'it''s'\n",
	"a:\n- b\n- c\nd:\n    - e\n", "a: b: c\n", "a: b\n c: d\n", "a:\n  b: c\n d: e\n", "a: [b\n", "a: 'b' c\n", "a: b#c\n", "a: b #c\n",
	"a: - b\n", "- - - a\n  - b\n", "- a: b\n  c: d\n- e: f\n", "a: b:c\n", "a: {b: c, d}\n", "a: [b: c]\n", "a: [b,]\n", "a: [,]\n", "a: {b: , c: d}\n",
	"'a': b\n\"c\": d\n", "? a\n: b\n", "a : b\n", "a:b\n", "a: b\na: c\n", "<<: {a: b}\n", "true: a\n1: b\n", "a: --- b\n", "a: -b\n", "-a: b\n", "a: <<\n", "a: =\n",
	"# only a comment\n", "", "---\n# c\n", "--- a: b\n", "a: %b\n", "a: @b\n", "a: b %c @d\n", "a:\n\n\n  b: c\n", "a: b\n\n   # deep comment\nc: d\n", "a:   b   \n", "a: ''\nb: \"\"\n",
	"a: n\nb: N\nc: NULL\nd: nUll\ne: FALSE\nf: off\n", "a: {\"b\":1}\n", "a: ['b':1]\n", "a: [- b]\n", "a: [-b, -1, -]\n", "a:\n  - b\n - c\n", "a: [1.5, .5, 010]\n", "key: [a b]\n", "a: null # x\nb:\n# y\n  c: d\n",
	"- a\nb: c\n", "a:\n- b\n c: d\n", "a: [b]]\n", "a: {b: {c: [d, {e: f}]}}\n", "a: !!str 1\n", "a: b\n...\n", "a: ?b\n", "a: :b\n", "a: \"b\"c: d\n", "a: \"b\": c\n", "- \"a\": b\n  c: d\n",
}

// The fast parser reads what it accepts exactly as the real one: same values,
// same types, same places.
func checkFast(t *testing.T, doc string) bool {
	t.Helper()
	var p fastParser
	got, ok := p.parse([]byte(doc), 7)
	if !ok {
		return false
	}
	want, err := parseYAML([]byte(doc), 7)
	if err != nil {
		t.Fatalf("%q: the fast parser accepts what the real one refuses: %v", doc, err)
	}
	if want.kind == isNull && got.kind == isNull {
		return true
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(node{}, entry{}), cmp.Comparer(func(a, b []entry) bool {
		return len(a) == 0 && len(b) == 0 || len(a) == len(b) && sameEntries(a, b)
	})); diff != "" {
		t.Fatalf("%q: (-real +fast)\n%s", doc, diff)
	}
	return true
}

func sameEntries(a, b []entry) bool {
	for i := range a {
		x, y := &a[i], &b[i]
		if x.key != y.key || x.line != y.line || x.col != y.col || x.kind != y.kind || x.text != y.text ||
			x.node.line != y.node.line || x.node.col != y.node.col || len(x.kids) != len(y.kids) || !sameEntries(x.kids, y.kids) {
			return false
		}
	}
	return true
}

func TestFastParserReadsAlike(t *testing.T) {
	taken := 0
	for _, doc := range fastSeeds {
		if checkFast(t, doc) {
			taken++
		}
	}
	// The parser is of no use if it leaves everything to the other.
	if taken < 30 {
		t.Errorf("only %d of %d documents were taken", taken, len(fastSeeds))
	}
}

// The manifests of the examples are of the kind that it is made for.
func TestFastParserTakesExamples(t *testing.T) {
	files, _ := filepath.Glob("../../examples/*/*.yaml")
	if len(files) == 0 {
		t.Fatal("no examples found")
	}
	for _, f := range files {
		if filepath.Base(filepath.Dir(f)) == "tests" {
			continue // tests of policies, which are no resources
		}
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range split(data) {
			if !checkFast(t, string(c.data)) {
				t.Errorf("%s: the document in line %d is left to the real parser", f, c.line)
			}
		}
		if _, faults := Decode(f, data); len(faults) > 0 {
			t.Error(faults)
		}
	}
}

func FuzzFastParser(f *testing.F) {
	for _, s := range fastSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) { checkFast(t, doc) })
}
