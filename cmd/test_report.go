package cmd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policytest"
)

// testReport is the JSON of test.
type testReport struct {
	output.Meta
	Summary testSummary `json:"summary"`
	Items   []testItem  `json:"items"`
}

type testSummary struct {
	Cases       int `json:"cases"`
	Passed      int `json:"passed"`
	Failed      int `json:"failed"`
	Errors      int `json:"errors"` // could not be judged
	Skipped     int `json:"skipped"`
	Connections int `json:"connections"`
	// Probed are the connections that were really tried; with --live only.
	Probed *int `json:"probed,omitempty"`
}

// testItem is a case.
type testItem struct {
	Test        string      `json:"test"`
	Name        string      `json:"name"`
	File        string      `json:"file"`
	Line        int         `json:"line"`
	Result      string      `json:"result"`           // passed, failed, error or skipped
	Error       string      `json:"error,omitempty"`  // of result error
	Connections int         `json:"connections"`      // that were judged
	Checks      []testCheck `json:"checks,omitempty"` // those that did not pass; also others with -v

	NotProbed []testNotProbed `json:"notProbed,omitempty"` // with --live

	// What it was made from, for people: its test, and the checks of Checks.
	result *policytest.Result
	picked []*policytest.Check
	ran    *testRan
}

// testNotProbed is why some connections of a case were not tried.
type testNotProbed struct {
	Connections int    `json:"connections"`
	Reason      string `json:"reason"`
}

// testCheck is a connection.
type testCheck struct {
	Source      string      `json:"source"`
	Destination string      `json:"destination"`
	Protocol    string      `json:"protocol"`
	Ports       string      `json:"ports,omitempty"` // 5432, 80:90, or of ICMP the type and code
	Family      string      `json:"family,omitempty"`
	Expected    string      `json:"expected"` // allow or deny
	Got         string      `json:"got"`
	Result      string      `json:"result"`
	By          []hitReport `json:"by"`              // what decided, at each end that gave the verdict
	Probe       string      `json:"probe,omitempty"` // with --live: what was seen
	Why         []string    `json:"why,omitempty"`
}

// add puts the results of a test into the report.
func (d *testReport) add(r testRan, verbose bool) {
	for i := range r.Results {
		res := &r.Results[i]
		it := testItem{
			Test: r.Test.Name, Name: res.Name, File: res.Origin.File, Line: res.Origin.Line,
			Result: string(res.Outcome()), Connections: len(res.Checks), result: res, ran: &r,
		}
		if res.Err != nil {
			it.Error = nameError(res.Err)
		}
		for j := range res.Checks {
			c := &res.Checks[j]
			if verbose || c.Outcome() == policytest.Failed {
				it.Checks, it.picked = append(it.Checks, newTestCheck(c)), append(it.picked, c)
			}
		}
		reasons := res.NotProbed()
		for _, reason := range slices.Sorted(maps.Keys(reasons)) {
			it.NotProbed = append(it.NotProbed, testNotProbed{reasons[reason], reason})
		}
		d.Items = append(d.Items, it)
		d.Summary.count(res.Outcome(), len(res.Checks))
	}
}

// countProbed counts what was really tried.
func (d *testReport) countProbed() {
	n := d.Summary.Connections
	for i := range d.Items {
		for _, p := range d.Items[i].NotProbed {
			n -= p.Connections
		}
	}
	d.Summary.Probed = &n
}

func (s *testSummary) count(o policytest.Outcome, connections int) {
	s.Cases++
	s.Connections += connections
	switch o {
	case policytest.Passed:
		s.Passed++
	case policytest.Failed:
		s.Failed++
	case policytest.Errored:
		s.Errors++
	case policytest.Skipped:
		s.Skipped++
	}
}

func newTestCheck(c *policytest.Check) testCheck {
	_, ports, _ := strings.Cut(c.Port(), "/") // none without ports
	out := testCheck{
		Source: c.From, Destination: c.To, Protocol: c.Protocol.String(), Ports: ports, Family: c.Family(),
		Expected: resultWord(c.Expected == policy.Allow), Got: resultWord(c.Got == policy.Allow),
		Result: string(c.Outcome()), By: []hitReport{}, Why: c.Why(),
	}
	for _, d := range c.Deciders {
		if d.Hit.Rule == policy.NoPolicy {
			continue
		}
		out.By = append(out.By, newHitReport(d.Hit, d.Direction))
	}
	if c.Live != nil {
		out.Probe = c.Live.Text
	}
	return out
}

// nameError is an error's text, with the name that was probably meant for one
// that does not exist.
func nameError(err error) string {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []string
		for _, e := range joined.Unwrap() {
			out = append(out, nameError(e))
		}
		return strings.Join(out, "; ")
	}
	var unknown *connectivity.UnknownName
	if !errors.As(err, &unknown) {
		return err.Error()
	}
	switch near := cli.Nearest(unknown.Name, unknown.Known); {
	case near != "":
		return fmt.Sprintf("%v; did you mean %q?", err, near)
	case unknown.Hint != "":
		return fmt.Sprintf("%v; use %s", err, unknown.Hint)
	}
	return err.Error()
}
