package cmd

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

func verdictWord(h policy.Hit) string {
	if h.Action == policy.Deny {
		return "deny"
	}
	return "allow"
}

// empty says that there is nothing to read in a table: what is left of
// connections after their verdict changed, packets alone.
func (it *flowItem) empty() bool { return it.Connections == 0 && it.Live == 0 }

// verdictCell is the verdict, and after an arrow the pending one where it
// differs. Probes are marked, since they may stand beside the same flow of the
// workload's own.
func (it *flowItem) verdictCell() output.Cell {
	cell := output.Judged(it.Verdict == "allow", it.Verdict)
	if it.PendingVerdict != it.Verdict {
		cell = output.Cell{Text: it.Verdict + "→" + it.PendingVerdict, Style: output.Warn}
	}
	if it.Probe {
		cell.Text += " (probe)"
	}
	return cell
}

// byText is what decided, of the pending verdict where it differs.
func (it *flowItem) byText() string {
	out := "no policy"
	if it.By != nil {
		out = hitText(*it.By)
	}
	for _, h := range it.Logs {
		out += "; logged by " + hitText(h)
	}
	if it.PendingVerdict != it.Verdict && it.PendingBy != nil {
		out += "; then " + hitText(*it.PendingBy)
	}
	return out
}

// mergeAlike sums up flows that differ only in what a narrow table does not
// show: the rule that decided. The first of them keeps its place.
func mergeAlike(items []flowItem) []flowItem {
	type shown struct{ source, destination, port, direction, verdict string }
	at := map[shown]int{}
	var out []flowItem
	for _, it := range items {
		k := shown{it.Source.String(), it.Destination.String(), it.Port.Text(), it.Direction, it.verdictCell().Text}
		i, again := at[k]
		if !again {
			at[k] = len(out)
			out = append(out, it)
			continue
		}
		sum := &out[i]
		sum.Connections += it.Connections
		sum.Live += it.Live
		if it.LastSeen.After(sum.LastSeen) {
			sum.LastSeen = it.LastSeen
		}
	}
	return out
}

// shortDirection is out for Egress and in for Ingress: the end that reports.
func shortDirection(d string) string {
	if d == policy.Egress.String() {
		return "out"
	}
	return "in"
}

func printFlows(p *output.Printer, doc *flowsReport, opts *FlowsOptions) error {
	if len(doc.Items) == 0 {
		return nil // the line below it says so
	}
	now := opts.Factory.Now()
	columns := []string{"SEEN", "FROM", "TO", "PORT", "DIR", "CONNS", "VERDICT"}
	if opts.Format == output.Wide {
		columns = []string{"FIRST SEEN", "LAST SEEN", "FROM", "TO", "PORT", "SERVICE", "DIRECTION", "CONNECTIONS", "LIVE", "BYTES IN", "BYTES OUT", "VERDICT", "BY"}
		if p.Width > 0 { // where every column counts
			columns[6], columns[7] = "DIR", "CONNS"
		}
	}
	t := p.Table(columns...)
	t.Spare("BYTES IN|BYTES OUT", "SERVICE", "FIRST SEEN", "LAST SEEN", "BY")
	for i := range doc.Items {
		it := &doc.Items[i]
		port := it.Port.Text()
		conns := output.Count(it.Connections, doc.Coverage.LostUnknown)
		verdict := it.verdictCell()
		if opts.Format == output.Wide {
			direction := it.Direction
			if p.Width > 0 {
				direction = shortDirection(direction)
			}
			t.Row(output.Time(it.FirstSeen), output.Time(it.LastSeen), it.Source, flow.WithDomains(it.Destination.String(), it.Domains), port, it.Service,
				direction, conns, it.Live, it.BytesIn, it.BytesOut, verdict, it.byText())
			continue
		}
		t.Row(output.Ago(it.LastSeen, now), it.Source, it.Destination, port, shortDirection(it.Direction), conns, verdict)
	}
	if err := t.Print(); err != nil {
		return err
	}
	noteLeft(opts.Factory.IO, t, allElsewhere)
	return nil
}

// followFlows prints each flow as it gains connections: JSON a line each, or
// columns of a fixed width.
func followFlows(ctx context.Context, opts *FlowsOptions, filter flow.Filter) error {
	w, source, err := openFlows(ctx, opts.Factory, &opts.Source, filter)
	if err != nil {
		return err
	}
	fits, err := opts.Ends.read(w)
	if err != nil {
		return err
	}
	keep := opts.pendingAsTheyCome(w, source, filter.Pending)
	if opts.Source.Given() {
		filter.Pending = 0
	}
	p := opts.Factory.IO.Printer()
	enc := json.NewEncoder(opts.Factory.IO.Out)
	enc.SetEscapeHTML(false)
	err = source.Follow(ctx, filter, func(f flow.Flow) error {
		if !fits(&f) || !keep(&f) {
			return nil
		}
		it := newFlowItem(&f)
		switch opts.Format {
		case output.JSON:
			return enc.Encode(it)
		case output.YAML:
			p.Printf("---\n")
			return p.Object(opts.Format, it)
		}
		if f.Connections == 0 {
			return nil // an end of a connection, or its counters: nothing new to read
		}
		p.Line(followLine(&it, followWidth(p.Width), opts.Format == output.Wide)...)
		return nil
	})
	if err != nil {
		return opts.Source.failed(source, err)
	}
	return nil
}

// followWidth is how wide a name is where lines are as wide as width: what is
// left of it by the other columns, within bounds.
func followWidth(width int) int {
	const others, most = 40, 24
	if width == 0 {
		return most
	}
	return min(max((width-others)/2, 12), most)
}

func followLine(it *flowItem, name int, wide bool) []output.Cell {
	line := []output.Cell{
		{Text: it.LastSeen.Format("15:04:05")},
		{Text: fmt.Sprintf("%-*s %-*s %-9s %-3s %4d", name, it.Source, name, it.Destination, it.Port.Text(), shortDirection(it.Direction), it.Connections)},
		it.verdictCell(),
	}
	if wide {
		line = append(line, output.Cell{Text: it.Service}, output.Cell{Text: it.byText(), Style: output.Faint})
	}
	return line
}
