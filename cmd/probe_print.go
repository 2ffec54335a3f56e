package cmd

import (
	"fmt"
	"strings"

	"github.com/netpol-project/netpol/internal/lab/probe"
	"github.com/netpol-project/netpol/internal/lab/prober"
	"github.com/netpol-project/netpol/internal/output"
)

// plainWidth is how wide a matrix may be in a pipe.
const plainWidth = 100

// printProbe is the matrix of pairs, or a line for each where more is asked
// for, then what blocks and what differs.
func printProbe(p *output.Printer, doc *probeReport, opts *ProbeOptions) error {
	width := p.Width
	if width == 0 {
		width = plainWidth
	}
	var err error
	if opts.Format == output.Text && opts.Family != "both" {
		err = newMatrix(doc.Items).print(p, width)
	} else {
		err = printPairs(p, doc.Items)
	}
	if err != nil {
		return err
	}
	p.Printf("\n%s\n", summary(doc.Summary))
	if opts.Format == output.Text {
		printDenials(p, doc.Items)
	}
	for _, it := range doc.Items {
		if it.Result == prober.Error && opts.Format == output.Text {
			p.Printf("error: %s → %s %s: %s\n", it.Source, it.Destination, probePort(it), it.Error)
		}
	}
	if len(doc.Differences) > 0 {
		heading := fmt.Sprintf("%d pairs are not as expected", len(doc.Differences))
		if len(doc.Differences) == 1 {
			heading = "1 pair is not as expected"
		}
		p.Heading(heading, false)
		for _, d := range doc.Differences {
			p.Printf("  %s: expected %s, but it is %s\n", d.Pair, d.Expected, d.Result)
		}
	} else if opts.Expect != "" {
		p.Printf("every pair is as expected\n")
	}
	return nil
}

func summary(s probe.Summary) string {
	parts := []string{fmt.Sprintf("%s: %d connected", plural(s.Pairs, "pair"), s.Connected)}
	for _, c := range []struct {
		n    int
		word string
	}{{s.Closed, "closed"}, {s.Blocked, "blocked"}, {s.Error, "error"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.word))
		}
	}
	return strings.Join(parts, ", ")
}

// printDenials tells what blocked, and how many pairs, in the order in which
// they appear.
func printDenials(p *output.Printer, items []probe.Item) {
	counts := map[string]int{}
	var order []string
	for _, it := range items {
		if it.DeniedBy == nil {
			continue
		}
		by := denialText(it.DeniedBy)
		if counts[by] == 0 {
			order = append(order, by)
		}
		counts[by]++
	}
	for _, by := range order {
		p.Printf("%d blocked by %s\n", counts[by], by)
	}
}

func denialText(d *prober.Denial) string {
	if d == nil {
		return ""
	}
	return hitText(hitReport{Tier: d.Tier, Kind: d.Kind, Namespace: d.Namespace, Name: d.Name, Rule: d.Rule}) +
		" (" + strings.ToLower(d.Direction) + ")"
}

// printPairs is a line for each pair.
func printPairs(p *output.Printer, items []probe.Item) error {
	t := p.Table("FROM", "TO", "PORT", "RESULT", "WHY")
	for _, it := range items {
		why := it.Error
		if it.DeniedBy != nil {
			why = denialText(it.DeniedBy)
		}
		t.Row(it.Source, it.Destination, probePort(it), output.Cell{Text: string(it.Result), Style: style(it.Result)}, why)
	}
	return t.Print()
}

func probePort(it probe.Item) string {
	s := it.Protocol
	if it.Port > 0 {
		s += fmt.Sprintf("/%d", it.Port)
	}
	if it.Family == "IPv6" {
		s += " (IPv6)"
	}
	return s
}

func style(r prober.Result) output.Style {
	switch r {
	case prober.Connected, prober.Closed:
		return output.Good
	case prober.Blocked:
		return output.Bad
	}
	return output.Warn
}
