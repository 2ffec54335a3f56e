package docs_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"github.com/netpol-project/netpol/cmd"
	"github.com/netpol-project/netpol/internal/cli"
)

// newRoot is netpol's command line, each time anew since flags keep what was
// parsed.
func newRoot(t *testing.T) *cobra.Command {
	t.Helper()
	root, err := cmd.NewCmdRoot(cli.New(&cli.Streams{In: strings.NewReader(""), Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}, viper.New()), "netpol")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

var (
	fence    = regexp.MustCompile("^ *```")
	anySpan  = regexp.MustCompile("(?s)`([^`]+)`")
	joiners  = regexp.MustCompile(`\s(?:\\?\||&&|\|\||>)\s`)
	toNetpol = regexp.MustCompile(`^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:kubectl )?netpol (.+)$`)
)

// commandLines are the calls of netpol in a page: those in its blocks, with the
// number of their line, and those in running text.
func commandLines(page string) map[string]int {
	out := map[string]int{}
	take := func(text string, line int) {
		text, _, _ = strings.Cut(text, "  #")
		text, _, _ = strings.Cut(text, " # ")
		for _, part := range joiners.Split(text, -1) {
			if m := toNetpol.FindStringSubmatch(strings.TrimSpace(part)); m != nil {
				out[m[1]] = line
			}
		}
	}
	var prose strings.Builder
	inside, joined := false, ""
	for i, line := range strings.Split(page, "\n") {
		if fence.MatchString(line) {
			inside = !inside
			line = ""
		}
		if !inside {
			prose.WriteString(line)
		}
		prose.WriteByte('\n')
		if !inside {
			continue
		}
		if head, more := strings.CutSuffix(line, `\`); more {
			joined += head
			continue
		}
		line = strings.TrimPrefix(strings.TrimSpace(joined+line), "- run: ")
		take(strings.TrimPrefix(line, "script: "), i+1)
		joined = ""
	}
	text := prose.String()
	for _, at := range anySpan.FindAllStringSubmatchIndex(text, -1) {
		span := strings.Join(strings.Fields(text[at[2]:at[3]]), " ")
		take(span, strings.Count(text[:at[2]], "\n")+1)
	}
	return out
}

// words splits a command line as a shell does.
func words(line string) []string {
	var out []string
	var word strings.Builder
	quote, has := rune(0), false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, has = r, true
		case r == ' ' && (has || word.Len() > 0):
			out = append(out, word.String())
			word.Reset()
			has = false
		case r != ' ':
			word.WriteRune(r)
		}
	}
	if has || word.Len() > 0 {
		out = append(out, word.String())
	}
	return out
}

// placeholder are words that stand for others: POLICY, FILE, …, /ns.
var placeholder = regexp.MustCompile(`…|[A-Z]{3}|^\$`)

// parse is what is wrong with the command and the flags of a line.
func parse(t *testing.T, line string) (*cobra.Command, error) {
	t.Helper()
	args := words(line)
	c, rest, err := newRoot(t).Find(args)
	if err != nil {
		return c, err
	}
	if c.HasParent() && c.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && !placeholder.MatchString(rest[0]) && !c.Flags().HasFlags() {
		return c, errors.New("no command " + rest[0])
	}
	if !c.HasParent() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") && rest[0] != "help" && !placeholder.MatchString(rest[0]) {
		return c, errors.New("no command " + rest[0])
	}
	err = c.ParseFlags(rest)
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	switch {
	case errors.Is(err, pflag.ErrHelp), errors.As(err, &missing): // "with --for" is prose
		return c, nil
	case errors.As(err, &invalid) && placeholder.MatchString(invalid.GetValue()):
		return c, nil
	}
	return c, err
}

// A page shows no command and no flag that there is not.
func TestCommandsExist(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, filepath.Join(root, "README.md")) {
		for line, number := range commandLines(read(t, page)) {
			if _, err := parse(t, line); err != nil {
				t.Errorf("%s:%d: netpol %s: %v", page, number, line, err)
			}
		}
	}
}

// The examples in help are commands as they can be typed, arguments included.
func TestExamplesInHelpParse(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		for line := range commandLines("```\n" + c.Example + "\n```") {
			example, err := parse(t, line)
			if err == nil {
				err = example.ValidateArgs(example.Flags().Args())
			}
			if err != nil {
				t.Errorf("%s --help: netpol %s: %v", c.CommandPath(), line, err)
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(t))
}
