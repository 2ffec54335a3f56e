package cmd

import (
	"fmt"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
)

func printDiff(opts *DiffOptions, changes []connectivity.Change) error {
	p := opts.Factory.IO.Printer()
	s := summarizeDiff(changes)
	switch {
	case opts.Format.Structured():
		return p.Object(opts.Format, newDiffReport(changes))
	case opts.Format == formatMarkdown:
		printDiffMarkdown(p, changes)
		return nil
	case len(changes) > 0:
		if err := printDiffTable(p, changes, opts.Format == output.Wide); err != nil {
			return err
		}
	}
	opts.Factory.IO.ErrPrinter().Printf("%s\n", s.text())
	return nil
}

func printDiffTable(p *output.Printer, changes []connectivity.Change, wide bool) error {
	columns := []string{"CHANGE", "FROM", "TO", "ON", "BY"}
	if wide {
		columns = []string{"CHANGE", "FROM", "TO", "ON", "DECLARED", "PODS", "BEFORE", "AFTER"}
	}
	t := p.Table(columns...)
	for i := range changes {
		c := &changes[i]
		change := output.Cell{Text: "+ " + changeWord(c), Style: output.Good, Whole: true}
		if !c.Added {
			change = output.Cell{Text: "- " + changeWord(c), Style: output.Bad, Whole: true}
		}
		src, dst := connectivity.NodeText(c.Source), connectivity.NodeText(c.Destination)
		if !wide {
			on := c.What.String()
			on += shareText(c)
			t.Row(change, src, dst, on, causeText(c))
			continue
		}
		t.Row(change, src, dst, c.What.String(), declaredText(c), fmt.Sprintf("%d of %d", c.Changed, c.Pairs),
			answerText(&c.Before), answerText(&c.After))
	}
	return t.Print()
}

// shareText says how much of two ends a change is about, where that is not all:
// of pods so many pairs, of nets and sets so many of the parts that rules tell
// apart.
func shareText(c *connectivity.Change) string {
	switch {
	case c.Changed >= c.Pairs:
		return ""
	case connectivity.Outside(c.Source) || connectivity.Outside(c.Destination):
		return fmt.Sprintf(" (%d of %d parts)", c.Changed, c.Pairs)
	}
	return fmt.Sprintf(" (%d of %d pairs of pods)", c.Changed, c.Pairs)
}

// causeText is what makes the change: what decides after it, or what decided
// before where nothing does any more.
func causeText(c *connectivity.Change) string {
	switch {
	case c.Before.Absent:
		return "new, " + answerText(&c.After)
	case c.After.Absent:
		return "gone"
	case c.After.By.Rule == policy.NoPolicy:
		return "no longer " + deciderText(&c.Before)
	}
	return deciderText(&c.After)
}

func deciderText(a *connectivity.Answer) string {
	if a.By.Rule == policy.NoPolicy {
		return "no policy"
	}
	return hitText(newHitReport(a.By, a.Direction))
}

func answerText(a *connectivity.Answer) string {
	if a.Absent {
		return "not there"
	}
	return fmt.Sprintf("%s (%s)", resultWord(a.Allowed), deciderText(a))
}

func declaredText(c *connectivity.Change) string {
	var out []string
	for _, p := range c.Declared {
		out = append(out, connectivity.PortText(p.Protocol, p.Port))
	}
	return strings.Join(out, ",")
}

// diffRows is how many changes a comment shows before it folds the rest.
const diffRows = 40

func printDiffMarkdown(p *output.Printer, changes []connectivity.Change) {
	s := summarizeDiff(changes)
	p.Printf("### Connections: %s\n", s.text())
	if len(changes) == 0 {
		return
	}
	shown := min(len(changes), diffRows)
	for shown > 0 && !changes[shown-1].Telling() && changes[0].Telling() {
		shown--
	}
	p.Printf("\n")
	printDiffRows(p, changes[:shown])
	if rest := changes[shown:]; len(rest) > 0 {
		p.Printf("\n<details><summary>%d more</summary>\n\n", len(rest))
		printDiffRows(p, rest)
		p.Printf("\n</details>\n")
	}
}

func printDiffRows(p *output.Printer, changes []connectivity.Change) {
	p.Printf("| Change | From | To | On | Declared | Before | After |\n|---|---|---|---|---|---|---|\n")
	for i := range changes {
		c := &changes[i]
		on := c.What.String()
		on += shareText(c)
		p.Printf("| %s | %s | %s | %s | %s | %s | %s |\n", "**"+changeWord(c)+"**",
			markdown(connectivity.NodeText(c.Source)), markdown(connectivity.NodeText(c.Destination)), markdown(on),
			markdown(declaredText(c)), markdown(answerText(&c.Before)), markdown(answerText(&c.After)))
	}
}
