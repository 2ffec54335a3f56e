package docs_test

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/cmd"
	"github.com/netpol-project/netpol/internal/cli"
)

// pages are the pages here and the README, with their text.
func pages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, name := range append(names, filepath.Join(root, "README.md")) {
		out[name] = read(t, name)
	}
	return out
}

var (
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	noSlug  = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the names by which a page's headings are reached, as GitHub makes
// them.
func anchors(page string) map[string]bool {
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		out[strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return out
}

func TestLinksIntoPagesLeadToHeadings(t *testing.T) {
	for page, text := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, ok := strings.Cut(m[1], "#")
			if !ok || strings.Contains(target, "://") {
				continue
			}
			into := text
			if target != "" {
				into = read(t, filepath.Join(filepath.Dir(page), target))
			}
			if !anchors(into)[anchor] {
				t.Errorf("%s: %s leads to no heading", page, m[1])
			}
		}
	}
}

func TestTheReadmeLinksToEveryPage(t *testing.T) {
	all := pages(t)
	readme := all[filepath.Join(root, "README.md")]
	for page := range all {
		if !strings.HasPrefix(page, root) && !strings.Contains(readme, "(docs/"+page+")") {
			t.Errorf("README.md does not link to docs/%s", page)
		}
	}
}

var (
	makeCall   = regexp.MustCompile("(?m)(?:^|`)make ([a-z][a-z0-9-]*)")
	makeTarget = regexp.MustCompile(`(?m)^([a-z0-9-]+):`)
)

func TestMakeTargetsExist(t *testing.T) {
	known := map[string]bool{}
	for _, m := range makeTarget.FindAllStringSubmatch(read(t, filepath.Join(root, "Makefile")), -1) {
		known[m[1]] = true
	}
	for page, text := range pages(t) {
		for _, m := range makeCall.FindAllStringSubmatch(text, -1) {
			if !known[m[1]] {
				t.Errorf("%s: there is no make %s", page, m[1])
			}
		}
	}
}

var (
	metric = regexp.MustCompile(`\bnetpol_(?:flows_server_)?([a-z_]+[a-z])\b`)
	made   = regexp.MustCompile(`(?:gauge|counter)\("([a-z_]+)"|NewDesc\("netpol_([a-z_]+)"`)
)

// Metrics that pages name are made by the agent or the flows server, and the
// agent's are all told on its page.
func TestMetricsAreTold(t *testing.T) {
	agents := read(t, filepath.Join(root, "pkg/enforce/metrics.go"))
	all := pages(t)
	for page, text := range all {
		for _, m := range metric.FindAllStringSubmatch(text, -1) {
			makers := agents
			if strings.HasPrefix(m[0], "netpol_flows_server_") {
				makers = read(t, filepath.Join(root, "internal/flowserver/metrics.go"))
			}
			if !strings.Contains(makers, `"`+m[1]+`"`) && !strings.Contains(makers, `"`+m[0]+`"`) {
				t.Errorf("%s: nothing makes %s", page, m[0])
			}
		}
	}
	for _, m := range made.FindAllStringSubmatch(agents, -1) {
		name := m[1] + m[2]
		_, rest, _ := strings.Cut(name, "_") // of those that are listed together: `_max`
		if !strings.Contains(all["AGENT.md"], "netpol_"+name) && !strings.Contains(all["AGENT.md"], "`_"+rest+"`") {
			t.Errorf("AGENT.md does not tell netpol_%s", name)
		}
	}
}

// The scripts in completions/ are what the program prints.
func TestCompletionsAreCurrent(t *testing.T) {
	for shell, file := range map[string]string{"bash": "netpol.bash", "zsh": "_netpol", "fish": "netpol.fish", "powershell": "netpol.ps1"} {
		t.Setenv("XDG_CONFIG_HOME", t.TempDir())
		var out, errs bytes.Buffer
		if code := cmd.Run(t.Context(), &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, []string{"netpol", "completion", shell}); code != 0 {
			t.Fatalf("netpol completion %s: exit code %d: %s", shell, code, errs.String())
		}
		if out.String() != read(t, filepath.Join(root, "completions", file)) {
			t.Errorf("completions/%s is old: make completions", file)
		}
	}
}
