package cmd

import (
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policytest"
)

// testSuites is the report as JUnit has it: a suite for each test.
func testSuites(opts *TestOptions, doc *testReport, ran []testRan) []output.Suite {
	var out []output.Suite
	at := 0
	for _, r := range ran {
		suite := output.Suite{Name: r.Test.Name}
		for range r.Results {
			it := &doc.Items[at]
			at++
			c := output.Case{Name: it.Name, ClassName: it.Test, File: it.File, Line: it.Line, Seconds: r.took.Seconds() / float64(len(r.Results))}
			lines := testLines(it)
			switch it.Result {
			case string(policytest.Failed), string(policytest.Errored):
				c.Failure = &output.Failure{Errored: it.Result == string(policytest.Errored), Message: failure(it), Type: it.Result, Text: strings.Join(lines, "\n")}
			case string(policytest.Skipped):
				c.Skipped = strings.Join(lines, "\n")
			}
			if opts.Verbose && c.Failure == nil {
				c.Output = strings.Join(lines, "\n")
			}
			suite.Cases = append(suite.Cases, c)
		}
		out = append(out, suite)
	}
	return out
}

// failure is what is wrong with a case, in one line.
func failure(it *testItem) string {
	if it.Error != "" {
		return it.Error
	}
	for _, c := range it.picked {
		if c.Outcome() == policytest.Failed {
			return checkText(c, it.ran.world)[0]
		}
	}
	return it.Result
}

// testLines is what there is to say of a case.
func testLines(it *testItem) []string {
	var out []string
	if it.Error != "" {
		out = append(out, it.Error)
	}
	for _, n := range it.NotProbed {
		out = append(out, n.text())
	}
	said := map[string]bool{}
	for _, c := range it.picked {
		text := checkText(c, it.ran.world)
		if key := strings.Join(text, "\n"); said[key] {
			continue
		} else {
			said[key] = true
		}
		for i, line := range text {
			out = append(out, strings.Repeat("  ", min(i, 1))+line)
		}
	}
	return out
}

// printGitHub is a line for each case that did not pass, which GitHub shows
// beside the test's file.
func printGitHub(p *output.Printer, doc *testReport) {
	escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	property := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	for i := range doc.Items {
		it := &doc.Items[i]
		level := map[string]string{string(policytest.Failed): "error", string(policytest.Errored): "error", string(policytest.Skipped): "warning"}[it.Result]
		if level == "" {
			continue
		}
		p.Printf("::%s file=%s,line=%d,title=%s::%s\n", level, property.Replace(it.File), it.Line,
			property.Replace(it.Test+"/"+it.Name), escape.Replace(strings.Join(testLines(it), "\n")))
	}
	p.Printf("%s\n", doc.Summary.text())
}
