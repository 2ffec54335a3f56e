package output

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// Format is the value of -o.
type Format string

// The formats. Text is the default of every command: a table, a tree, a
// sentence, whatever suits it best.
const (
	Text Format = "table"
	Wide Format = "wide" // the table with more columns
	JSON Format = "json"
	YAML Format = "yaml"
	Name Format = "name" // kind/name, one a line
	// For code review and CI systems: Printer.SARIF and Printer.JUnit.
	SARIF Format = "sarif"
	JUnit Format = "junit"
	// Markdown is GitHub's, for a comment on a pull request.
	Markdown Format = "markdown"
)

// Structured says whether f is for programs (JSON or YAML).
func (f Format) Structured() bool { return f == JSON || f == YAML }

// AddFlag gives a command -o with the formats that it knows; the first is the
// default.
func AddFlag(fs *pflag.FlagSet, into *Format, allowed ...Format) {
	*into = allowed[0]
	fs.VarP(&formatFlag{into: into, allowed: allowed}, "output", "o", "output format: "+join(allowed))
}

type formatFlag struct {
	into    *Format
	allowed []Format
}

func (f *formatFlag) String() string {
	if f.into == nil {
		return ""
	}
	return string(*f.into)
}

func (f *formatFlag) Type() string { return "format" }

// Set takes a format that the command knows.
func (f *formatFlag) Set(s string) error {
	if slices.Contains(f.allowed, Format(s)) {
		*f.into = Format(s)
		return nil
	}
	for _, later := range []string{"jsonpath", "custom-columns", "go-template"} {
		if s == later || strings.HasPrefix(s, later+"=") {
			return fmt.Errorf("%s is not supported yet, pipe -o json into jq instead; formats here: %s", later, join(f.allowed))
		}
	}
	return fmt.Errorf("unknown format; formats here: %s", join(f.allowed))
}

// Formats are the values that the flag takes, for completion.
func (f *formatFlag) Formats() []string {
	out := make([]string, len(f.allowed))
	for i, a := range f.allowed {
		out[i] = string(a)
	}
	return out
}

func join(formats []Format) string {
	out := make([]string, len(formats))
	for i, f := range formats {
		out[i] = string(f)
	}
	return strings.Join(out, "|")
}
