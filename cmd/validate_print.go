package cmd

import (
	"fmt"
	"slices"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
)

// where is the place of a finding.
func (it *validationItem) where() string { return it.fault.Origin.String() }

// text is a finding without its place.
func (it *validationItem) text() string {
	f := it.fault
	f.Origin = policy.Origin{}
	return f.Error()
}

func (it *validationItem) line() string {
	text := fmt.Sprintf("%s: %s [%s]", it.Severity, it.text(), it.Code)
	if it.where() == "" { // from a cluster
		return text
	}
	return it.where() + ": " + text
}

func printValidation(opts *ValidateOptions, r *validationReport) error {
	p := opts.Factory.IO.Printer()
	switch opts.Format {
	case output.JSON, output.YAML:
		return p.Object(opts.Format, r)
	case output.SARIF:
		return printValidationSARIF(p, r)
	case output.JUnit:
		return printValidationJUnit(p, r, opts.Strict)
	}
	for i := range r.Items {
		it := &r.Items[i]
		if p.Width == 0 {
			p.Printf("%s\n", it.line())
			continue
		}
		severity := output.Cell{Text: it.Severity, Style: output.Bad}
		if it.fault.Warning {
			severity.Style = output.Warn
		}
		cells := []output.Cell{severity, {Text: "[" + it.Code + "]", Style: output.Faint}}
		if it.where() != "" {
			cells = slices.Insert(cells, 0, output.Cell{Text: it.where() + ":", Style: output.Strong})
		}
		p.Line(cells...)
		p.Indented(2, it.text())
	}
	opts.Factory.IO.ErrPrinter().Printf("%s\n", r.Summary)
	return nil
}

// String is the summary for people.
func (s validationSummary) String() string {
	text := fmt.Sprintf("%s, %s in %s", plural(s.Errors, "error"), plural(s.Warnings, "warning"), plural(s.Resources, "resource"))
	if s.Files > 0 {
		text += " of " + plural(s.Files, "file")
	}
	return text
}

// group is what of a validation is one test: a file, or in a cluster a resource.
func (it *validationItem) group() string {
	if it.File == "" {
		return it.fault.Key.String()
	}
	return it.File
}

// groups are the tests: every file, and of a cluster's resources those with
// findings.
func (r *validationReport) groups() []string {
	out := slices.Clone(r.files)
	for i := range r.Items {
		if r.Items[i].File == "" {
			out = append(out, r.Items[i].group())
		}
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) == 0 {
		out = []string{plural(r.Summary.Resources, "resource")}
	}
	return out
}
