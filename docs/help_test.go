package docs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/netpol-project/netpol/pkg/lint"
)

// Text in help fits a terminal of 80 columns.
func TestHelpIsNotTooWide(t *testing.T) {
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		for line := range strings.SplitSeq(c.Long, "\n") {
			if n := len([]rune(line)); n > 80 {
				t.Errorf("%s --help: %d columns: %s", c.CommandPath(), n, line)
			}
		}
		if c.IsAvailableCommand() && c.HasParent() {
			line := "  " + c.Name() + strings.Repeat(" ", max(0, c.NamePadding()-len(c.Name()))) + " " + c.Short
			if n := len([]rune(line)); n > 80 {
				t.Errorf("%s --help: %d columns: %s", c.Parent().CommandPath(), n, line)
			}
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(t))
}

// Every command that tells or changes something has -o json, as README says.
func TestCommandsSpeakJSON(t *testing.T) {
	silent := map[string]bool{ // they serve, print a script, or have nothing to tell
		"netpol agent": true, "netpol flows-server": true, "netpol completion": true, "netpol help": true,
		"netpol flows record": true, "netpol lab down": true, "netpol lab demo": true,
	}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		for _, sub := range c.Commands() {
			visit(sub)
		}
		if c.HasSubCommands() && c.Name() != "flows" || !c.IsAvailableCommand() || silent[c.CommandPath()] {
			return
		}
		flag := c.Flags().Lookup("output")
		if flag == nil || flag.Shorthand != "o" {
			t.Errorf("%s has no -o", c.CommandPath())
		} else if formats, ok := flag.Value.(interface{ Formats() []string }); !ok || !slices.Contains(formats.Formats(), "json") {
			t.Errorf("%s has no -o json", c.CommandPath())
		}
	}
	visit(newRoot(t))
}

// A shorthand means one flag in all commands, but -f: the directory of policies,
// the manifests that a command is about, or --follow (docs/RECORDINGS.md).
func TestShorthandsMeanTheSame(t *testing.T) {
	means := map[string]map[string]bool{}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Shorthand != "" {
				if means[f.Shorthand] == nil {
					means[f.Shorthand] = map[string]bool{}
				}
				means[f.Shorthand][f.Name] = true
			}
		})
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(t))
	for short, names := range means {
		if len(names) > 1 && (short != "f" || len(names) > 3) {
			t.Errorf("-%s means %v", short, names)
		}
	}
}

// Every warning of validate is on its page.
func TestWarningsAreTold(t *testing.T) {
	page := read(t, "VALIDATE.md")
	for _, l := range lint.Lints() {
		if !strings.Contains(page, "`"+l.Code+"`") {
			t.Errorf("VALIDATE.md does not tell %s", l.Code)
		}
	}
}
