package output

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/spf13/pflag"
)

func sample(p *Printer) error {
	t := p.Table("NAMESPACE", "NAME", "VERDICT", "SELECTOR")
	t.Row("vote", "db", Verdict(true), "app == 'db'")
	t.Row("", 7, Verdict(false), "app in {'a-rather-long-name', 'another-rather-long-name'} && tier == 'backend' && has(environment)")
	return t.Print()
}

func TestTableInAPipe(t *testing.T) {
	var out bytes.Buffer
	if err := sample(&Printer{W: &out}); err != nil {
		t.Fatal(err)
	}
	want := `NAMESPACE   NAME   VERDICT   SELECTOR
vote        db     allowed   app == 'db'
-           7      blocked   app in {'a-rather-long-name', 'another-rather-long-name'} && tier == 'backend' && has(environment)
`
	if out.String() != want {
		t.Errorf("got:\n%s", out.String())
	}
}

func TestTableOnATerminal(t *testing.T) {
	for _, width := range []int{60, 80, 132} {
		var out bytes.Buffer
		if err := sample(&Printer{W: &out, Width: width, Color: true}); err != nil {
			t.Fatal(err)
		}
		text := out.String()
		for _, line := range strings.Split(text, "\n") {
			if w := lipgloss.Width(line); w > width {
				t.Errorf("%d columns are more than %d: %q", w, width, line)
			}
		}
		for _, word := range []string{"allowed", "blocked", "has(environment)", "'a-rather-long-name',"} {
			if !strings.Contains(text, word) {
				t.Errorf("%q is torn or lost at width %d:\n%s", word, width, text)
			}
		}
		if !strings.Contains(text, "\x1b[32mallowed") {
			t.Errorf("no green in %q", text)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, tc := range []struct {
		text  string
		width int
		want  string
	}{
		{"one two three", 7, "one two|three"},
		{"one two three", 80, "one two three"},
		{"kubernetes.io/metadata.name", 16, "kubernetes.io/|metadata.name"},
		{"abcdefghij", 4, "abcd|efgh|ij"},
		{"", 5, ""},
	} {
		if got := strings.Join(wrap(tc.text, tc.width), "|"); got != tc.want {
			t.Errorf("%q at %d: got %q, want %q", tc.text, tc.width, got, tc.want)
		}
	}
}

func TestFitTakesFromTheWidest(t *testing.T) {
	got, ok := fit([]int{5, 40, 60}, []int{5, 8, 8}, 65)
	if !ok || got[0] != 5 || got[1] != 30 || got[2] != 30 {
		t.Errorf("got %v, %v", got, ok)
	}
	if got, ok := fit([]int{9, 9}, []int{8, 8}, 15); ok {
		t.Errorf("got %v", got)
	}
}

func TestObject(t *testing.T) {
	doc := struct {
		Meta
		Name  string    `json:"name"`
		Items []string  `json:"items"`
		At    time.Time `json:"at"`
	}{NewMeta("Sample"), "<a & b>", []string{}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	for format, want := range map[Format]string{
		JSON: "{\n  \"apiVersion\": \"netpol.dev/v1\",\n  \"kind\": \"Sample\",\n  \"name\": \"<a & b>\",\n  \"items\": [],\n  \"at\": \"2026-01-02T03:04:05Z\"\n}\n",
		YAML: "apiVersion: netpol.dev/v1\nat: \"2026-01-02T03:04:05Z\"\nitems: []\nkind: Sample\nname: <a & b>\n",
	} {
		var out bytes.Buffer
		if err := (&Printer{W: &out}).Object(format, doc); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%s: got:\n%s", format, out.String())
		}
	}
}

func TestFormatFlag(t *testing.T) {
	var f Format
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	AddFlag(fs, &f, Text, JSON)
	if f != Text {
		t.Errorf("the default is %q", f)
	}
	if err := fs.Parse([]string{"-o", "json"}); err != nil || f != JSON {
		t.Errorf("%q, %v", f, err)
	}
	for _, bad := range []string{"wide", "jsonpath={.x}", "custom-columns=A:.b"} {
		if err := fs.Parse([]string{"-o", bad}); err == nil || !strings.Contains(err.Error(), "table|json") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestWords(t *testing.T) {
	if got := Count(25000, true) + " " + Count(3, false); got != "≥25000 3" {
		t.Error(got)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("x", 3600))
	if got := Time(now) + " " + Ago(now.Add(-90*time.Second), now) + " " + Ago(time.Time{}, now) + Time(time.Time{}); got != "2025-12-31T23:00:00Z 90s -" {
		t.Error(got)
	}
}

func TestIndentedTextGoesOnFurtherIn(t *testing.T) {
	const text = "one two three four five six seven eight"
	for width, want := range map[int]string{
		0:  "    " + text + "\n",
		80: "    " + text + "\n",
		30: "    one two three four five\n      six seven eight\n",
	} {
		var out bytes.Buffer
		(&Printer{W: &out, Width: width}).Indented(4, text)
		if got := out.String(); got != want {
			t.Errorf("width %d: got\n%s\nwant\n%s", width, got, want)
		}
	}
}

// A column that says nothing of anything only takes room.
func TestOptionalColumns(t *testing.T) {
	for _, file := range []string{"", "a.yaml"} {
		var buf bytes.Buffer
		table := (&Printer{W: &buf}).Table("NAME", "FILE", "SELECTOR")
		table.Row("one", "", "all()")
		table.Row("two", file, "none")
		table.Optional("FILE")
		table.Optional("GONE")
		if err := table.Print(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(buf.String(), "FILE"); got != (file != "") || !strings.Contains(buf.String(), "none") {
			t.Errorf("file %q:\n%s", file, buf.String())
		}
	}
}

func TestSparkline(t *testing.T) {
	for want, counts := range map[string][]int64{
		"":         nil,
		"▁▁":       {0, 0},
		"█":        {1},
		"▁▂▃▄▅▆▇█": {0, 1, 2, 3, 4, 5, 6, 7},
		"▂▁█":      {1, 0, 1000}, // little is more than nothing
	} {
		if got := Sparkline(counts); got != want {
			t.Errorf("%v: %s, want %s", counts, got, want)
		}
	}
}

// Spare columns go one after the other until cells are on one line, and those come
// back for which the last of them made room.
func TestSpareColumns(t *testing.T) {
	for _, c := range []struct {
		width      int
		want, left string
	}{
		{100, "A BB CCCCCCCC DDDD LAST", ""},
		{0, "A BB CCCCCCCC DDDD LAST", ""},
		{37, "A BB DDDD LAST", "CCCCCCCC"},
		{27, "A DDDD LAST", "BB,CCCCCCCC"},
		{20, "BB CCCCCCCC LAST", "A,DDDD"},
		{8, "LAST", "A,BB,CCCCCCCC,DDDD"},
	} {
		var out bytes.Buffer
		table := (&Printer{W: &out, Width: c.width}).Table("A", "BB", "CCCCCCCC", "DDDD", "LAST")
		table.Row("a", "b", "c", "dddddddddddddd", "last")
		table.Spare("CCCCCCCC", "BB", "DDDD|A", "NOSUCH")
		if err := table.Print(); err != nil {
			t.Fatal(err)
		}
		header, _, _ := strings.Cut(out.String(), "\n")
		if got := strings.Join(strings.Fields(header), " "); got != c.want || strings.Join(table.Left(), ",") != c.left {
			t.Errorf("%d columns: %s without %v, want %s without %s", c.width, got, table.Left(), c.want, c.left)
		}
	}
}

// The end of a cell that may be cut goes before it takes several lines.
func TestCutCells(t *testing.T) {
	var out bytes.Buffer
	table := (&Printer{W: &out, Width: 40}).Table("A", "COMMAND")
	table.Row("a", Cell{Text: "a command with öther words and more of them", Cut: true})
	table.Row("b", "a sentence of which every word has to be told")
	if err := table.Print(); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if !strings.Contains(text, "a command with öther words and more…") || !strings.Contains(text, "told") || strings.Count(text, "\n") != 4 {
		t.Errorf("got:\n%s", text)
	}
}

// Names come from files and servers that anybody may have written: they give a
// terminal no orders, and a row stays one line.
func TestTextGivesTheTerminalNoOrders(t *testing.T) {
	var out bytes.Buffer
	p := &Printer{W: &out}
	table := p.Table("NAME", "é")
	table.Row("a\x1b[31m\u009b2J\r", Cell{Text: "x\ny\u202ez é日"})
	if err := table.Print(); err != nil {
		t.Fatal(err)
	}
	p.Line(Cell{Text: "b\x1b]0;t\a"}, Cell{Text: "c"})
	if want := "NAME         é\na\uFFFD[31m\uFFFD2J\uFFFD   x y\uFFFDz é日\nb\uFFFD]0;t\uFFFD c\n"; out.String() != want {
		t.Errorf("got %q\nwant %q", out.String(), want)
	}
}
