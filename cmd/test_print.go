package cmd

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policytest"
)

// mostChecks is how many connections of a case are told; more look all alike.
const mostChecks = 10

func printTests(opts *TestOptions, doc *testReport, ran []testRan) error {
	p := opts.Factory.IO.Printer()
	switch opts.Format {
	case output.JSON, output.YAML:
		return p.Object(opts.Format, doc)
	case output.JUnit:
		return p.JUnit(testSuites(opts, doc, ran)...)
	case formatGitHub:
		printGitHub(p, doc)
		return nil
	}
	for i := range doc.Items {
		printTestItem(p, opts, &doc.Items[i])
	}
	for _, n := range doc.notProbed() {
		p.Indented(0, n.text())
	}
	p.Printf("%s\n", doc.Summary.text())
	return nil
}

func (n testNotProbed) text() string {
	return plural(n.Connections, "connection") + " not probed: " + n.Reason
}

// notProbed are the reasons of the cases that passed although a part of them
// was not tried.
func (d *testReport) notProbed() []testNotProbed {
	counts := map[string]int{}
	for i := range d.Items {
		if d.Items[i].Result == string(policytest.Skipped) {
			continue // told with the case
		}
		for _, n := range d.Items[i].NotProbed {
			counts[n.Reason] += n.Connections
		}
	}
	var out []testNotProbed
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, testNotProbed{counts[reason], reason})
	}
	return out
}

// text is the summary in one line.
func (s testSummary) text() string {
	out := fmt.Sprintf("%s: %d passed", plural(s.Cases, "case"), s.Passed)
	for _, c := range []struct {
		n    int
		word string
	}{{s.Failed, "failed"}, {s.Errors, "could not be judged"}, {s.Skipped, "skipped"}} {
		if c.n > 0 {
			out += fmt.Sprintf(", %d %s", c.n, c.word)
		}
	}
	out += " (" + plural(s.Connections, "connection")
	if s.Probed != nil {
		out += fmt.Sprintf(", %d of them probed", *s.Probed)
	}
	return out + ")"
}

var testStyles = map[string]output.Style{
	string(policytest.Passed): output.Good, string(policytest.Failed): output.Bad,
	string(policytest.Errored): output.Warn, string(policytest.Skipped): output.Warn,
}

// printTestItem tells a case that did not pass; with -v every one.
func printTestItem(p *output.Printer, opts *TestOptions, it *testItem) {
	if it.Result == string(policytest.Passed) && !opts.Verbose {
		return
	}
	p.Line(output.Cell{Text: it.Result, Style: testStyles[it.Result]},
		output.Cell{Text: it.Test + "/" + it.Name}, output.Cell{Text: "(" + it.result.Origin.String() + ")", Style: output.Faint})
	if it.Error != "" {
		p.Indented(2, it.Error)
	}
	if it.Result == string(policytest.Skipped) || opts.Verbose {
		for _, n := range it.NotProbed {
			p.Indented(2, n.text())
		}
	}
	said, first := map[string]bool{}, true
	for _, c := range it.picked {
		text := checkText(c, it.ran.world)
		if said[strings.Join(text, "\n")] {
			continue // another pod, or another address of the same
		}
		if len(said) == mostChecks && !opts.Verbose {
			p.Indented(2, fmt.Sprintf("and more, of %s; -v tells them", plural(len(it.picked), "connection")))
			break
		}
		said[strings.Join(text, "\n")] = true
		for i, line := range text {
			p.Indented(2+2*min(i, 1), line)
		}
		if first && c.Outcome() == policytest.Failed && !it.ran.world.silent {
			first = false
			p.Printf("    try: %s\n", opts.Factory.Command(explainCommand(opts, it, c)))
		}
	}
}

// checkText is a connection on its first line, and on the others what decided.
func checkText(c *policytest.Check, w *testWorld) []string {
	head := checkName(c) + ": " + strings.Join(c.Why(), "; ")
	if c.Outcome() == policytest.Passed {
		head = checkName(c) + ": " + resultWord(c.Got == policy.Allow) + ", as expected"
	}
	return append([]string{head}, deciders(c, w)...)
}

func checkName(c *policytest.Check) string {
	s := fmt.Sprintf("%s → %s %s", c.From, c.To, c.Port())
	if f := c.Family(); f != "" {
		s += " (" + f + ")"
	}
	return s
}

// deciders are what decided, one a line, with the policy's place if that is
// known.
func deciders(c *policytest.Check, w *testWorld) []string {
	var out []string
	for _, d := range c.Deciders {
		if d.Hit.Rule == policy.NoPolicy {
			continue
		}
		line := strings.ToLower(d.Direction.String()) + ": " + hitText(newHitReport(d.Hit, d.Direction))
		if p := w.model.Snapshot().Policy(d.Hit.Policy); p != nil && p.Origin.Line > 0 {
			line += " (" + p.Origin.String() + ")"
		}
		out = append(out, line)
	}
	if len(out) == 0 {
		return []string{"no policy decides"}
	}
	return out
}

// explainCommand is what to type to look further.
func explainCommand(opts *TestOptions, it *testItem, c *policytest.Check) string {
	words := []string{"netpol explain"}
	if it.ran.world.dir != "" {
		words = append(words, "--dir "+it.ran.world.dir)
	}
	words = append(words, c.From, explainTarget(c))
	scope := it.ran.Test.Scope
	switch {
	case opts.Scope.pending || opts.Scope.only == "" && scope.Pending:
		words = append(words, "--pending")
	case opts.Scope.only != "":
		words = append(words, "--only "+opts.Scope.only)
	case scope.Only != "":
		words = append(words, "--only "+scope.Only)
	}
	return strings.Join(words, " ")
}

// explainTarget is the destination as explain takes it.
func explainTarget(c *policytest.Check) string {
	name := c.To
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	protocol := strings.ToLower(c.Protocol.String())
	typ, code := policy.ICMPTypeCode(c.Ports.Min)
	switch {
	case c.Protocol.HasTypes():
		return fmt.Sprintf("%s/%s:%d:%d", name, protocol, typ, code)
	case c.Protocol == policy.TCP:
		return fmt.Sprintf("%s:%d", name, c.Ports.Min)
	case c.Protocol.HasPorts():
		return fmt.Sprintf("%s:%d/%s", name, c.Ports.Min, protocol)
	}
	return name + "/" + protocol
}
