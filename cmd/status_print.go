package cmd

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/output"
)

// printStatus is a line for each node, and below it what is wrong.
func printStatus(io *cli.Streams, doc *statusReport, wide bool, now time.Time) error {
	p := io.Printer()
	columns := []string{"NODE", "STATUS", "REVISION", "LAG", "LOST", "DISAGREEMENTS", "VERSION"}
	if wide {
		columns = append(columns, "POLICIES", "PODS", "RESYNCS", "REPAIRS", "CUT", "CNI", "TOLD")
	}
	t := p.Table(columns...)
	for i := range doc.Nodes {
		t.Row(statusRow(&doc.Nodes[i], wide, now)...)
	}
	if wide {
		t.Spare("TOLD", "RESYNCS", "REPAIRS", "PODS", "POLICIES", "CUT", "VERSION")
	}
	if err := t.Print(); err != nil {
		return err
	}
	noteLeft(io, t, allElsewhere)
	if s := doc.FlowsServer; s != nil {
		p.Printf("flows server %s: %d of %s connected\n", s.Version, s.Connected, plural(s.Expected, "agent"))
	}
	for _, text := range doc.Problems {
		p.Line(output.Cell{Text: "problem:", Style: output.Bad}, output.Cell{Text: text})
	}
	for _, text := range doc.Warnings {
		p.Line(output.Cell{Text: "warning:", Style: output.Warn}, output.Cell{Text: text})
	}
	return nil
}

func statusRow(n *nodeStatus, wide bool, now time.Time) []any {
	word, healthy := n.word()
	style := output.Good
	if !healthy {
		style = output.Bad
	}
	row := []any{n.Node, output.Cell{Text: word, Style: style}}
	if n.Version == "" { // it never told anything
		return row
	}
	lost := fmt.Sprint(n.LostEvents)
	if n.LostUnknown {
		lost = "≥" + lost
	}
	disagreements := output.Cell{Text: fmt.Sprint(n.Disagreements)}
	if n.Disagreements > 0 {
		disagreements.Style = output.Bad
	}
	row = append(row, n.Revision, roundTime(time.Duration(n.LagSeconds*float64(time.Second))), lost, disagreements, n.Version)
	if !wide {
		return row
	}
	told := ""
	if n.Told != nil {
		told = max(now.Sub(*n.Told), 0).Round(time.Second).String() + " ago"
	}
	return append(row, n.Policies, n.Endpoints, n.Resyncs, n.Repairs, n.CutConnections, n.CNI.word(), told)
}

// word is how the plugin is.
func (c *cniStatus) word() output.Cell {
	switch {
	case c == nil:
		return output.Cell{Text: "-"}
	case c.InForce:
		return output.Cell{Text: "in force"}
	}
	return output.Cell{Text: "missing", Style: output.Warn}
}

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
