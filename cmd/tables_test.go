package cmd

import (
	"bytes"
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/lipgloss"

	"github.com/netpol-project/netpol/internal/cli"
)

// rows are the lines of a table, none of which is wider than width; each of
// them has so many.
func rows(t *testing.T, text string, width, want int) []string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != want {
		t.Errorf("%d lines, want %d: cells take several lines, or rows are lost:\n%s", len(lines), want, text)
	}
	for _, line := range lines {
		if w := lipgloss.Width(strings.TrimRight(line, " ")); w > width {
			t.Errorf("%d columns are more than %d: %q", w, width, line)
		}
	}
	return lines
}

// On a terminal whole columns are left out, and it is said which; the row of a
// flow stays one line.
func TestWideFlowsOnATerminal(t *testing.T) {
	b := newBench(t).sawVote()
	for _, c := range []struct {
		width int
		want  string // of the header
		left  string // out
	}{
		{80, "FROM TO PORT DIR CONNS LIVE VERDICT", "FIRST SEEN, LAST SEEN, SERVICE, BYTES IN, BYTES OUT, BY"},
		{120, "LAST SEEN FROM TO PORT DIR CONNS LIVE VERDICT BY", "FIRST SEEN, SERVICE, BYTES IN, BYTES OUT"},
		{250, "FIRST SEEN LAST SEEN FROM TO PORT SERVICE DIR CONNS LIVE BYTES IN BYTES OUT VERDICT BY", ""},
		{0, "FIRST SEEN LAST SEEN FROM TO PORT SERVICE DIRECTION CONNECTIONS LIVE BYTES IN BYTES OUT VERDICT BY", ""},
	} {
		b.width = c.width
		out, errs := b.must(0, "flows", "-o", "wide", "--ns", "vote")
		lines := rows(t, out, cmp.Or(c.width, 1000), 17)
		if got := strings.Join(strings.Fields(lines[0]), " "); got != c.want {
			t.Errorf("%d columns: got %s, want %s", c.width, got, c.want)
		}
		note := "note: no room here for " + c.left + "; a pipe and -o json have all"
		if strings.Contains(errs, "no room") != (c.left != "") || c.left != "" && !strings.Contains(errs, note) {
			t.Errorf("%d columns: %s", c.width, errs)
		}
	}
}

// A past is one line on a terminal, whatever the command was; -o wide has it in
// whole.
func TestHistoryOnATerminal(t *testing.T) {
	b := newBench(t)
	const name = "a-rather-long-name-for-a-policy"
	const command = "netpol create policy " + name + " --enforce --ingress=allow tcp:8080 --namespace=vote"
	b.must(0, "create", "policy", name, "--ns", "vote", "--enforce", "--ingress", "allow tcp:8080")
	b.must(0, "create", "policy", "b", "--ns", "vote", "--enforce", "--ingress", "allow tcp:8080")

	b.width = 80
	out, errs := b.must(0, "history")
	lines := rows(t, out, 80, 3)
	contains(t, lines[0], "NAMESPACE", "NAME", "STATE", "TIME")
	contains(t, lines[1], name, "enforced")
	contains(t, errs, "note: no room here for REVISION, LAST CHANGE; -o wide has all")

	out, errs = b.must(0, "history", name, "--ns", "vote")
	lines = rows(t, out, 80, 3)
	contains(t, lines[2], "netpol create policy a-rather-long", "…")
	if errs != "note: what ends in … is longer; -o wide has it whole\n" {
		t.Errorf("no column is left out: %s", errs)
	}
	out, errs = b.must(0, "history", name, "--ns", "vote", "-o", "wide")
	contains(t, strings.Join(strings.Fields(out), " "), "--namespace=vote")
	if errs != "" {
		t.Errorf("nothing is left out: %s", errs)
	}
	b.width = 50
	_, errs = b.must(0, "history", name, "--ns", "vote")
	contains(t, errs, "note: no room here for USER; -o wide has all\n")

	b.width = 0
	out, _ = b.must(0, "history")
	contains(t, out, command)
	out, errs = b.must(0, "history", name, "--ns", "vote")
	contains(t, out, command)
	if errs != "" {
		t.Errorf("in a pipe nothing is left out: %s", errs)
	}
}

// Nothing of a report is wider than the terminal.
func TestReportOnATerminal(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	b.width = 80
	out, _ := b.must(0, "report", "--ns", "vote")
	for line := range strings.Lines(out) {
		if w := lipgloss.Width(strings.TrimRight(line, " \n")); w > b.width {
			t.Errorf("%d columns are more than %d: %q", w, b.width, line)
		}
	}
	contains(t, out, "90 of 90 connections, seen from ", "T12:00:00Z,\n  namespace vote\n")
}

// The whole of a report is as wide as a pipe takes it; on a terminal columns are left
// out, but none of the usual table.
func TestWideReportOnATerminal(t *testing.T) {
	b := newBench(t).sawVote()
	b.write("deny.yaml", stagedDeny)
	for _, c := range []struct {
		width int
		want  string // of the header
		left  string // out
	}{
		{80, "FROM TO PORT CONNS SEEN BLOCKED BY", "SERVICE, DIRECTION, FIRST SEEN, LAST SEEN"},
		{120, "FROM TO PORT SERVICE DIRECTION CONNS SEEN BLOCKED BY", "FIRST SEEN, LAST SEEN"},
		{160, "FROM TO PORT SERVICE DIRECTION CONNS SEEN FIRST SEEN LAST SEEN BLOCKED BY", ""},
		{250, "FROM TO PORT SERVICE DIRECTION CONNECTIONS FIRST SEEN LAST SEEN BLOCKED BY", ""},
		{0, "FROM TO PORT SERVICE DIRECTION CONNECTIONS FIRST SEEN LAST SEEN BLOCKED BY", ""},
	} {
		b.width = c.width
		out, errs := b.must(0, "report", "-o", "wide")
		_, table, _ := strings.Cut(out, "\nFROM")
		table, _, _ = strings.Cut(table, "\n\n")
		lines := strings.Split("FROM"+table, "\n")
		if got := strings.Join(strings.Fields(lines[0]), " "); got != c.want {
			t.Errorf("%d columns: got %s, want %s", c.width, got, c.want)
		}
		for _, line := range lines {
			if w := lipgloss.Width(strings.TrimRight(line, " ")); c.width > 0 && w > c.width {
				t.Errorf("%d columns are more than %d: %q", w, c.width, line)
			}
		}
		note := "note: no room here for " + c.left + "; a pipe and -o json have all\n"
		if strings.Contains(errs, "no room") != (c.left != "") || c.left != "" && !strings.Contains(errs, note) {
			t.Errorf("%d columns: %s", c.width, errs)
		}
	}
}

// On a terminal what a flag is for is in a column of its own, within the width; in a
// pipe it is one line. A list of formats is one word.
func TestHelpOnATerminal(t *testing.T) {
	b := newBench(t)
	b.width = 80
	out, _ := b.must(0, "report", "--help")
	for line := range strings.Lines(out) {
		if w := lipgloss.Width(strings.TrimSuffix(line, "\n")); w > 80 && !strings.Contains(line, "|") {
			t.Errorf("%d columns: %s", w, line)
		}
	}
	const whole = "only what was seen since: how long ago (10m, 2h, 7d) or a time (RFC 3339); default: all there is\n"
	b.width = 0
	out, _ = b.must(0, "report", "--help")
	contains(t, out, whole)
}

// Policies with all columns, and agents with all of theirs, are a row each, too.
func TestWidePoliciesAndAgentsOnATerminal(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{"a", "a-rather-long-name-for-a-policy"} {
		b.must(0, "create", "policy", name, "--ns", "vote", "--selector", "app == 'db'", "--ingress", "allow tcp:8080")
	}
	b.width = 80
	out, errs := b.must(0, "get", "policies", "-o", "wide")
	lines := rows(t, out, 80, 3)
	contains(t, lines[0], "NAMESPACE", "NAME", "STATE", "SELECTOR")
	contains(t, errs, "note: no room here for ", "FILE", "; a pipe and -o json have all")
	b.width = 0
	out, errs = b.must(0, "get", "policies", "-o", "wide")
	contains(t, out, "KIND", "RULES", "FILE")
	if errs != "" {
		t.Errorf("in a pipe nothing is left out: %s", errs)
	}

	var text, notes bytes.Buffer
	doc := &statusReport{Healthy: true, Nodes: []nodeStatus{{Node: "worker-1.example", Version: "v0.1.0"}}}
	if err := printStatus(&cli.Streams{Out: &text, Err: &notes, Width: 80}, doc, true, time.Now()); err != nil {
		t.Fatal(err)
	}
	contains(t, rows(t, text.String(), 80, 2)[0], "NODE", "STATUS", "DISAGREEMENTS", "CNI")
	contains(t, notes.String(), "RESYNCS", "a pipe and -o json have all")
}
