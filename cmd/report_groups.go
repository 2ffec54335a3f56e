package cmd

import (
	"fmt"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/stage"
)

// printGroups is a table of totals, with a trend where there is one.
func printGroups(p *output.Printer, r *impactReport, opts *ReportOptions) error {
	if len(r.Groups) == 0 {
		return nil
	}
	p.Printf("\n")
	var heads []string
	switch r.By {
	case stage.ByPolicy:
	case stage.ByPort:
		heads = []string{"PORT"}
	default:
		heads = []string{"FROM", "TO"}
	}
	columns := append(heads, "BLOCKED", "CONNS", "ALLOWED", "SEEN", "TREND")
	switch r.By {
	case stage.ByPolicy:
		columns = append(columns, "POLICY")
	case stage.ByPort:
	default:
		columns = append(columns, "PORTS")
	}
	t := p.Table(columns...)
	now := opts.Factory.Now()
	for i := range r.Groups {
		g := &r.Groups[i]
		row := []any{g.From, g.To}
		switch r.By {
		case stage.ByPolicy:
			row = nil
		case stage.ByPort:
			row = []any{g.Port}
		}
		row = append(row, some(g.Flows.WouldBlock), some(g.Connections.WouldBlock), some(g.Flows.WouldAllow),
			between(g.FirstSeen, g.LastSeen, now), trendCell(p, g.Trend))
		switch r.By {
		case stage.ByPolicy:
			row = append(row, g.Policy.String())
		case stage.ByPort:
		default:
			row = append(row, strings.Join(g.Ports, ", "))
		}
		t.Row(row...)
	}
	t.Optional("ALLOWED")
	t.Optional("TREND")
	return t.Print()
}

// some is a number that says something: not 0.
func some(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// trendCell is a trend as a column has it: bars on a terminal, else nothing,
// since the numbers are in the JSON.
func trendCell(p *output.Printer, counts []int64) output.Cell {
	if p.Width == 0 || len(counts) < 2 {
		return output.Cell{}
	}
	return output.Cell{Text: output.Sparkline(counts), Whole: true}
}

// trendText is how what would be blocked went on, in one line; "" where nothing
// would be.
func (r *impactReport) trendText(p *output.Printer, now time.Time) string {
	t := r.Trend
	if t == nil || t.LastSeen == nil {
		return ""
	}
	out := "Last seen " + output.Ago(*t.LastSeen, now) + " ago"
	switch {
	case !t.Happening:
	case now.Sub(r.Coverage.To) > stillNow:
		out += ", to the end of what was seen"
	default:
		out += ", still happening"
	}
	if len(t.Connections) < 2 {
		return out
	}
	out += "; connections begun each " + output.Age(time.Duration(t.StepSeconds)*time.Second)
	switch {
	case t.Changed == nil:
		out += " since " + output.Time(t.From)
	case len(r.Policies) == 1:
		out += " since the policy changed " + output.Ago(*t.Changed, now) + " ago"
	default:
		out += " since a policy changed " + output.Ago(*t.Changed, now) + " ago"
	}
	if p.Width > 0 {
		return out + ": " + output.Sparkline(t.Connections)
	}
	return out + ": " + strings.Trim(fmt.Sprint(t.Connections), "[]")
}

// stillNow is how old the end of what was seen may be to be the present.
const stillNow = 5 * time.Minute
