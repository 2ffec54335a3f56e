package cmd

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/stage"
)

// printRevisions prints a table; wide is one with all of every command.
func printRevisions(io *cli.Streams, one *past, wide bool) error {
	p := io.Printer()
	if len(one.revisions) == 0 {
		p.Printf("%s has no past\n", one.key)
		return nil
	}
	p.Printf("%s\n", one.key)
	t := p.Table("REVISION", "TIME", "USER", "CHANGE")
	for i := range one.revisions {
		r := &one.revisions[i]
		// A command is cut before it takes several lines, a sentence is not.
		t.Row(r.Revision, r.Time, r.User, output.Cell{Text: whatOf(r), Cut: !wide && r.Reverted == nil})
		for _, line := range refusedLines(r) {
			t.Row("", "", "", line)
		}
	}
	if !wide {
		t.Spare("USER")
	}
	if err := t.Print(); err != nil {
		return err
	}
	noteLeft(io, t, "-o wide has all")
	if t.Shortened() {
		io.ErrPrinter().Printf("note: what ends in … is longer; -o wide has it whole\n")
	}
	return nil
}

// whatOf is what made a revision, in words.
func whatOf(r *stage.Revision) string {
	switch {
	case r.Reverted != nil && r.Deleted:
		return fmt.Sprintf("revision %d taken back, there was none before: %s", r.Reverted.Revision, r.Reverted.Text())
	case r.Reverted != nil:
		return fmt.Sprintf("revision %d taken back: %s", r.Reverted.Revision, r.Reverted.Text())
	case r.Others && r.Deleted:
		return "deleted by somebody else, without netpol"
	case r.Others:
		return "written by somebody else, without netpol"
	case r.Deleted:
		return "deleted: " + cmp.Or(r.Command, "netpol")
	}
	return cmp.Or(r.Command, "netpol")
}

// refusedLines are the refused connections for which a revision was taken back.
func refusedLines(r *stage.Revision) []string {
	if r.Reverted == nil || r.Reverted.Denied == nil {
		return nil
	}
	var out []string
	for _, line := range denialLines(r.Reverted.Denied) {
		out = append(out, "  "+line)
	}
	return out
}

func printPasts(opts *HistoryOptions, pasts []past, wide bool) error {
	if len(pasts) == 0 {
		opts.IO.ErrPrinter().Printf("netpol has not changed an enforced policy %s\n", cmp.Or(strings.TrimSpace(inNamespace(opts.Namespace)), "here"))
		return nil
	}
	t := opts.IO.Printer().Table("NAMESPACE", "NAME", "STATE", "REVISION", "TIME", "LAST CHANGE")
	for i := range pasts {
		one := &pasts[i]
		last := &one.revisions[len(one.revisions)-1]
		state := "enforced"
		switch {
		case one.live == nil && one.staged:
			state = "staged"
		case one.live == nil:
			state = "deleted"
		}
		t.Row(one.key.Namespace, one.key.Name, state, last.Revision, last.Time, whatOf(last))
	}
	if !wide {
		t.Spare("LAST CHANGE", "REVISION")
	}
	if err := t.Print(); err != nil {
		return err
	}
	noteLeft(opts.IO, t, "-o wide has all")
	return nil
}

// allElsewhere is where all columns of a table with -o wide are.
const allElsewhere = "a pipe and -o json have all"

// noteLeft tells which columns of a table the terminal has no room for, and where
// they are.
func noteLeft(io *cli.Streams, t *output.Table, where string) { noteColumns(io, t.Left(), where) }

func noteColumns(io *cli.Streams, left []string, where string) {
	if len(left) > 0 {
		io.ErrPrinter().Printf("note: no room here for %s; %s\n", strings.Join(left, ", "), where)
	}
}
