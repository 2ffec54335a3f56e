package cmd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// subject is what the report is about.
func (r *impactReport) subject() string {
	names := make([]string, len(r.Policies))
	for i, p := range r.Policies {
		names[i] = p.Name
		if p.Namespace != "" {
			names[i] = p.Namespace + "/" + p.Name
		}
	}
	switch {
	case len(names) == 0:
		return "Nothing is staged"
	case r.Scope == "policy":
		return "If " + names[0] + " (" + r.Policies[0].Kind + ") alone were enforced"
	case len(names) == 1:
		return "If the one staged policy, " + names[0] + ", were enforced"
	case len(names) <= 4:
		return "If all staged policies (" + strings.Join(names, ", ") + ") were enforced"
	}
	return r.manyText()
}

// heading is the answer in one sentence, in two lines where a terminal is too
// narrow.
func (r *impactReport) heading(width int) []string {
	subject, flows := r.subject()+":", r.Summary.Flows
	answer := fmt.Sprintf("%d of %s would be blocked", flows.WouldBlock, plural(int(flows.Observed), "flow"))
	switch {
	case width == 0 || len(subject)+1+len(answer) <= width:
		return []string{subject + " " + answer}
	case len(subject) > width && len(r.Policies) > 1:
		subject = r.manyText() + ":"
	}
	return []string{subject, answer}
}

func (r *impactReport) manyText() string {
	return fmt.Sprintf("If all %d staged policies were enforced", len(r.Policies))
}

func printImpact(p *output.Printer, r *impactReport, opts *ReportOptions) error {
	flows, connections := r.Summary.Flows, r.Summary.Connections
	for _, line := range r.heading(p.Width) {
		p.Heading(line, true)
	}
	p.Printf("%s of %s, %s", output.Count(connections.WouldBlock, r.Coverage.LostUnknown),
		plural(int(connections.Observed), "connection"), r.Coverage.text())
	if len(r.Namespaces) > 0 {
		p.Printf(", namespace %s", strings.Join(r.Namespaces, ", "))
	}
	p.Printf("\n")
	for _, list := range []struct {
		title string
		items []stage.Item
		by    string
	}{
		{"", r.Items, "BLOCKED BY"},
		{"Would be allowed, and is refused now", r.WouldAllow, "REFUSED BY"},
		{"Can't be judged", r.Gone, "WHY"},
	} {
		if len(list.items) == 0 {
			continue
		}
		p.Heading(list.title, list.title == "")
		if err := printItems(p, list.items, list.by, opts); err != nil {
			return err
		}
	}
	for _, d := range r.CalicoDiffers {
		key := policy.Key{Kind: policy.Kind(d.Kind), Namespace: d.Namespace, Name: d.Name}
		p.Printf("note: the pending verdict in Calico's own flows differs for %s: %s\n", key, d.Reason)
	}
	if flows.WouldBlock > 0 {
		opts.Factory.IO.ErrPrinter().Printf("try: netpol recommend%s\n", flagsOf(r.Namespaces))
	}
	return nil
}

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
	first, last := output.Ago(it.FirstSeen, now), output.Ago(it.LastSeen, now)
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
