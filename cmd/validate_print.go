package cmd

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/lint"
	"github.com/netpol-project/netpol/pkg/policy"
)

// validationReport is the JSON of validate.
type validationReport struct {
	output.Meta
	Summary validationSummary `json:"summary"`
	Items   []validationItem  `json:"items"`
	files   []string
}

type validationSummary struct {
	Errors    int `json:"errors"`
	Warnings  int `json:"warnings"`
	Resources int `json:"resources"`
	Files     int `json:"files"`
}

// validationItem is one finding. Line and column are 0 where they are not
// known; a resource without a kind is one that could not be told.
type validationItem struct {
	Severity string             `json:"severity"` // error or warning
	Code     string             `json:"code"`
	File     string             `json:"file"`
	Line     int                `json:"line"`
	Column   int                `json:"column"`
	Resource validationResource `json:"resource"`
	Field    string             `json:"field"`
	Value    string             `json:"value"`
	Reason   string             `json:"reason"`
	Fix      string             `json:"fix"`
	fault    policy.Fault
}

type validationResource struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

func newValidationReport(faults policy.Faults, in *toValidate) *validationReport {
	r := &validationReport{Meta: output.NewMeta("ValidationReport"), Items: []validationItem{}, files: in.files}
	r.Summary.Resources, r.Summary.Files = in.resources, len(in.files)
	slices.SortStableFunc(faults, func(a, b policy.Fault) int {
		return cmp.Or(strings.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Line, b.Origin.Line),
			cmp.Compare(a.Origin.Column, b.Origin.Column))
	})
	for _, f := range faults {
		it := validationItem{
			Severity: "error", Code: cmp.Or(f.Code, "invalid"), File: f.Origin.File, Line: f.Origin.Line, Column: f.Origin.Column,
			Resource: validationResource{string(f.Key.Kind), f.Key.Namespace, f.Key.Name},
			Field:    f.Field, Value: f.Value, Reason: f.Reason, Fix: f.Fix, fault: f,
		}
		if f.Warning {
			it.Severity = "warning"
			r.Summary.Warnings++
		} else {
			r.Summary.Errors++
		}
		r.Items = append(r.Items, it)
	}
	return r
}

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

// printValidationJUnit makes one test of each file: it fails by its errors, and
// by its warnings too if they are asked to count.
func printValidationJUnit(p *output.Printer, r *validationReport, strict bool) error {
	suite := output.Suite{Name: "netpol validate"}
	byFile := map[string][]*validationItem{}
	for i := range r.Items {
		it := &r.Items[i]
		byFile[it.group()] = append(byFile[it.group()], it)
	}
	for _, file := range r.groups() {
		c := output.Case{Name: file, ClassName: "netpol.validate"}
		if slices.Contains(r.files, file) {
			c.File = file
		}
		var bad, all []string
		for _, it := range byFile[file] {
			all = append(all, it.line())
			if it.fault.Warning && !strict {
				continue
			}
			bad = append(bad, it.line())
			if c.Failure == nil {
				c.Line = it.Line
				c.Failure = &output.Failure{Message: it.text(), Type: it.Code}
			}
		}
		if c.Failure != nil {
			if len(bad) > 1 {
				c.Failure.Message += fmt.Sprintf(" (and %d more)", len(bad)-1)
			}
			c.Failure.Text = strings.Join(bad, "\n")
		}
		if len(all) > len(bad) {
			c.Output = strings.Join(all, "\n")
		}
		suite.Cases = append(suite.Cases, c)
	}
	return p.JUnit(suite)
}

func printValidationSARIF(p *output.Printer, r *validationReport) error {
	tool := output.Tool{Name: "netpol", Version: programVersion(), URI: "https://github.com/netpol-project/netpol"}
	for _, l := range lint.Lints() {
		tool.Rules = append(tool.Rules, output.Rule{Code: l.Code, Short: upperFirst(l.Short), Help: l.Help, Warning: true})
	}
	findings := make([]output.Finding, len(r.Items))
	root := workingDirectory()
	for i := range r.Items {
		it := &r.Items[i]
		findings[i] = output.Finding{Code: it.Code, Warning: it.fault.Warning, Message: it.text(),
			File: below(root, it.File), Line: it.Line, Column: it.Column, Field: it.Field}
		if it.Resource.Kind != "" {
			findings[i].Resource = it.fault.Key.String()
		}
		if !slices.ContainsFunc(tool.Rules, func(r output.Rule) bool { return r.Code == it.Code }) {
			tool.Rules = append(tool.Rules, output.Rule{Code: it.Code, Warning: it.fault.Warning,
				Short: upperFirst(strings.ReplaceAll(it.Code, "-", " ")),
				Help:  "The resource is not valid, so it is not judged as its author meant; the message says what is wrong and what to write."})
		}
	}
	return p.SARIF(tool, findings)
}

// below is a path relative to root where it is within it: code review tools
// know files by their paths in the repository.
func below(root, path string) string {
	if root == "" || !filepath.IsAbs(path) {
		return path
	}
	if rel, err := filepath.Rel(root, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
