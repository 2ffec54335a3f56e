// Package docs_test holds the documentation to what is in the tree: a test, a
// file, a command, a flag or a metric that a page names must exist.
package docs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = ".."

// row is one rule in a table of SEMANTICS.md: | rule | meaning | tests | status |.
type row struct {
	line                  int
	rule, meaning, status string
	tests                 string
}

var ruleName = regexp.MustCompile(`^\*\*(S\d+|Nets|Bounds)\*\*$`)

// rows reads the tables of rules.
func rows(t *testing.T) map[string]row {
	t.Helper()
	out := map[string]row{}
	for i, line := range strings.Split(read(t, "SEMANTICS.md"), "\n") {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if len(cells) < 2 {
			continue
		}
		for j := range cells {
			cells[j] = strings.TrimSpace(strings.ReplaceAll(cells[j], "\x00", "|"))
		}
		name := ruleName.FindStringSubmatch(cells[1])
		if name == nil {
			continue
		}
		if len(cells) != 6 {
			t.Errorf("SEMANTICS.md:%d: %s has %d cells, want 4", i+1, name[1], len(cells)-2)
			continue
		}
		if before, twice := out[name[1]]; twice {
			t.Errorf("SEMANTICS.md:%d: %s is in line %d already", i+1, name[1], before.line)
		}
		out[name[1]] = row{line: i + 1, rule: name[1], meaning: cells[2], tests: cells[3], status: cells[4]}
	}
	return out
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestEveryRuleIsInTheTables(t *testing.T) {
	all := rows(t)
	names := []string{"Nets", "Bounds"}
	for n := 1; n <= 35; n++ {
		names = append(names, fmt.Sprintf("S%d", n))
	}
	for _, name := range names {
		r, ok := all[name]
		if !ok {
			t.Errorf("SEMANTICS.md has no row for %s", name)
			continue
		}
		if r.meaning == "" {
			t.Errorf("SEMANTICS.md:%d: %s has no meaning", r.line, name)
		}
		state, what, _ := strings.Cut(r.status, ":")
		switch {
		case state != "holds" && state != "partly" && state != "later":
			t.Errorf("SEMANTICS.md:%d: %s is %q; want holds, partly or later", r.line, name, state)
		case state != "holds" && strings.TrimSpace(what) == "":
			t.Errorf("SEMANTICS.md:%d: %s is %s; say what is missing", r.line, name, state)
		case state != "later" && !strings.Contains(r.tests, "`Test"):
			t.Errorf("SEMANTICS.md:%d: %s %s, and no test proves it", r.line, name, state)
		}
	}
	if len(all) > len(names) {
		t.Errorf("SEMANTICS.md has rows for rules that there are not: %d rows", len(all))
	}
}

var (
	codeSpan = regexp.MustCompile("`([^`]+)`")
	testName = regexp.MustCompile(`^Test\w+$`)
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
)

// testsIn are the tests of a package.
func testsIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, f := range files {
		for _, m := range testFunc.FindAllStringSubmatch(read(t, f), -1) {
			out[m[1]] = true
		}
	}
	return out
}

// A package is named in front of its tests: `pkg/tier` `TestA`, `TestB`.
func TestNamedTestsExist(t *testing.T) {
	known := map[string]map[string]bool{}
	dir := ""
	for i, line := range strings.Split(read(t, "SEMANTICS.md"), "\n") {
		if line == "" || line[0] == '|' {
			dir = "" // it counts for a paragraph or a row
		}
		for _, m := range codeSpan.FindAllStringSubmatch(line, -1) {
			name := m[1]
			if !testName.MatchString(name) {
				if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.IsDir() {
					dir = name
				}
				continue
			}
			if dir == "" {
				t.Errorf("SEMANTICS.md:%d: %s is named without its package", i+1, name)
				continue
			}
			if known[dir] == nil {
				known[dir] = testsIn(t, dir)
			}
			if !known[dir][name] {
				t.Errorf("SEMANTICS.md:%d: there is no %s in %s", i+1, name, dir)
			}
		}
	}
	if len(known) == 0 {
		t.Error("SEMANTICS.md names no test")
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	links := 0
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		for i, line := range strings.Split(read(t, page), "\n") {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				target, _, _ := strings.Cut(m[1], "#")
				if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
					continue
				}
				links++
				if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
					t.Errorf("%s:%d: %s leads nowhere", page, i+1, m[1])
				}
			}
		}
	}
	if links == 0 {
		t.Error("no page links to any other")
	}
}
