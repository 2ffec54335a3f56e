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

func printItems(p *output.Printer, items []stage.Item, by string, opts *ReportOptions) error {
	now := opts.Factory.Now()
	columns := []string{"FROM", "TO", "PORT", "CONNS", "SEEN", by}
	if opts.Format == output.Wide {
		columns = []string{"FROM", "TO", "PORT", "SERVICE", "DIRECTION", "CONNECTIONS", "FIRST SEEN", "LAST SEEN", by}
	}
	notes := footnotes{on: p.Width > 0 && opts.Format != output.Wide}
	t := p.Table(columns...)
	for i := range items {
		it := &items[i]
		port := it.Port.Text()
		if opts.Format == output.Wide {
			t.Row(it.Source, it.Destination, port, it.Service, it.Direction, it.Connections,
				output.Time(it.FirstSeen), output.Time(it.LastSeen), itemBy(it, &notes))
			continue
		}
		t.Row(it.Source, it.Destination, port, it.Connections, seenText(it, now), itemBy(it, &notes))
	}
	if err := t.Print(); err != nil {
		return err
	}
	for i, text := range notes.texts {
		p.Printf("[%d] %s\n", i+1, text)
	}
	return nil
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
