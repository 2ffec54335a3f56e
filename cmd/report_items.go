package cmd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/stage"
)

// What is above lists of flows: those that a directory refuses with nothing staged,
// those that may be blocked, and those of workloads that are gone.
const (
	refusedTitle   = "Was allowed when it was seen, and is refused by what is enforced here"
	undecidedTitle = "Can't be judged without the address"
	goneTitle      = "Can't be judged"
)

// flagsOf are the namespaces as flags.
func flagsOf(namespaces []string) string {
	if len(namespaces) == 0 {
		return " -A"
	}
	return " --ns " + strings.Join(namespaces, ",")
}

// printItems prints a list of flows. left are the columns that the terminal has no
// room for: then wide has what the usual table has, and of the rest what fits.
func printItems(p *output.Printer, items []stage.Item, by string, opts *ReportOptions) (left []string, err error) {
	if opts.Format == output.Wide {
		if t := wideItems(p, items, by); t.Fits() {
			return nil, t.Print()
		}
	}
	now, wide := opts.Factory.Now(), opts.Format == output.Wide
	columns := []string{"FROM", "TO", "PORT", "CONNS", "SEEN", by}
	if wide {
		columns = []string{"FROM", "TO", "PORT", "SERVICE", "DIRECTION", "CONNS", "SEEN", "FIRST SEEN", "LAST SEEN", by}
	}
	notes := footnotes{on: p.Width > 0}
	t := p.Table(columns...)
	for i := range items {
		it := &items[i]
		port := it.Port.Text()
		if wide {
			t.Row(it.Source, it.Destination, port, it.Service, it.Direction, it.Connections, seenText(it, now),
				output.Time(it.FirstSeen), output.Time(it.LastSeen), itemBy(it, &notes))
			continue
		}
		t.Row(it.Source, it.Destination, port, it.Connections, seenText(it, now), itemBy(it, &notes))
	}
	t.Spare("FIRST SEEN|LAST SEEN", "DIRECTION", "SERVICE")
	if err := t.Print(); err != nil {
		return nil, err
	}
	for i, text := range notes.texts {
		p.Indented(0, fmt.Sprintf("[%d] %s", i+1, text))
	}
	return t.Left(), nil
}

// wideItems is a table with all that is known of flows.
func wideItems(p *output.Printer, items []stage.Item, by string) *output.Table {
	var notes footnotes // off: in full
	t := p.Table("FROM", "TO", "PORT", "SERVICE", "DIRECTION", "CONNECTIONS", "FIRST SEEN", "LAST SEEN", by)
	for i := range items {
		it := &items[i]
		t.Row(it.Source, it.Destination, it.Port.Text(), it.Service, it.Direction, it.Connections,
			output.Time(it.FirstSeen), output.Time(it.LastSeen), itemBy(it, &notes))
	}
	return t
}

// seenText is how long ago a flow was first and last seen.
func seenText(it *stage.Item, now time.Time) string {
	return between(it.FirstSeen, it.LastSeen, now)
}

// between is how long ago something was first and last seen.
func between(firstSeen, lastSeen, now time.Time) string {
	first, last := output.Ago(firstSeen, now), output.Ago(lastSeen, now)
	if first == last {
		return first
	}
	return first + "-" + last
}

// footnotes put long texts that many rows share below the table, where columns
// are scarce: on a terminal.
type footnotes struct {
	on    bool
	texts []string
}

// mark is the text, or the number of its footnote.
func (n *footnotes) mark(text string) string {
	if !n.on {
		return text
	}
	i := slices.Index(n.texts, text)
	if i < 0 {
		i = len(n.texts)
		n.texts = append(n.texts, text)
	}
	return fmt.Sprintf("[%d]", i+1)
}

// itemBy is what refuses a flow, at which end.
func itemBy(it *stage.Item, notes *footnotes) string {
	if it.BlockedBy == nil {
		return it.Reason
	}
	out := it.Direction + " " + notes.mark(byText(*it.BlockedBy))
	if also := it.AlsoBlockedBy; also != nil {
		if also.By == *it.BlockedBy {
			out = "both ends " + notes.mark(byText(also.By))
		} else {
			out += ", " + also.Direction + " " + notes.mark(byText(also.By))
		}
	}
	if it.PodPairs != nil {
		out += fmt.Sprintf(" (%d of %d pairs of pods)", it.PodPairs.Affected, it.PodPairs.All)
	}
	return out
}

// byText is tier/policy and the rule, or the end of the tier.
func byText(b stage.By) string {
	name := b.Name
	if b.Namespace != "" {
		name = b.Namespace + "/" + name
	}
	name = b.Kind + " " + name
	if b.Rule < 0 {
		return b.Tier + ": " + name + ", end of tier"
	}
	return fmt.Sprintf("%s: %s, rule %d", b.Tier, name, b.Rule)
}
