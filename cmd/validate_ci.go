package cmd

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/lint"
)

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
