package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow/replay"
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
	if flows.WouldAllow > 0 {
		answer += fmt.Sprintf(", %d allowed", flows.WouldAllow)
	}
	if n := len(r.Refused); n > 0 {
		answer += fmt.Sprintf(", %d %s refused by what is enforced", n, isAre(n))
	}
	if flows.Undecided > 0 {
		answer += fmt.Sprintf(", %d can't be judged", flows.Undecided)
	}
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
	covered := fmt.Sprintf("%s of %s, %s", output.Count(connections.WouldBlock, r.Coverage.LostUnknown),
		plural(int(connections.Observed), "connection"), r.Coverage.text())
	if len(r.Namespaces) > 0 {
		covered += ", namespace " + strings.Join(r.Namespaces, ", ")
	}
	p.Indented(0, covered)
	for _, note := range r.actionNotes() {
		p.Indented(0, note)
	}
	if text := r.trendText(p, opts.Factory.Now()); text != "" {
		p.Indented(0, text)
	}
	if err := printChanges(p, r, opts); err != nil {
		return err
	}
	for _, d := range r.CalicoDiffers {
		key := policy.Key{Kind: policy.Kind(d.Kind), Namespace: d.Namespace, Name: d.Name}
		p.Indented(0, fmt.Sprintf("note: the pending verdict in Calico's own flows differs for %s: %s", key, d.Reason))
	}
	if err := printLive(p, r, opts); err != nil {
		return err
	}
	if len(r.Policies)+len(r.Unjudged) > 0 {
		printReadiness(p, r, opts)
	}
	if flows.WouldBlock > 0 && !opts.Watch {
		opts.Factory.IO.ErrPrinter().Printf("try: %s\n", opts.Factory.Command("netpol recommend"+flagsOf(r.Namespaces)))
	}
	return nil
}

// actionNotes say what staged policies do to enforced ones (S27), where that is
// not to be seen from their names.
func (r *impactReport) actionNotes() []string {
	var replaced, deleted, ignored []string
	for _, p := range r.Policies {
		key := policy.Key{Kind: policy.Kind(p.Kind), Namespace: p.Namespace, Name: p.Name}
		twin, _ := stage.Twin(key)
		switch {
		case p.StagedAction == string(policy.StagedDelete) && p.Replaces:
			deleted = append(deleted, twin.String())
		case p.StagedAction == string(policy.StagedDelete):
			ignored = append(ignored, key.String()+" deletes "+twin.String()+", which is not enforced")
		case p.StagedAction == string(policy.StagedIgnore): // below
		case p.Replaces:
			replaced = append(replaced, twin.String())
		}
	}
	for _, p := range r.Ignored {
		key := policy.Key{Kind: policy.Kind(p.Kind), Namespace: p.Namespace, Name: p.Name}
		ignored = append(ignored, key.String()+" counts for nothing (stagedAction Ignore)")
	}
	var out []string
	if len(replaced) > 0 {
		out = append(out, "Replaced then: "+strings.Join(replaced, ", "))
	}
	if len(deleted) > 0 {
		out = append(out, "Deleted then: "+strings.Join(deleted, ", "))
	}
	return append(out, ignored...)
}

// printChanges are the flows that would change their verdicts, or their totals.
func printChanges(p *output.Printer, r *impactReport, opts *ReportOptions) error {
	if opts.By != "" {
		return printGroups(p, r, opts)
	}
	var left []string // columns, of any of the lists
	for _, list := range []struct {
		title string
		items []stage.Item
		by    string
	}{
		{"", r.Items, "BLOCKED BY"},
		{"Would be allowed, and is refused now", r.WouldAllow, "REFUSED BY"},
		{refusedTitle, r.Refused, "REFUSED BY"},
		{undecidedTitle, r.Undecided, "WHY"},
		{goneTitle, r.Gone, "WHY"},
	} {
		if len(list.items) == 0 {
			continue
		}
		p.Heading(list.title, list.title == "")
		some, err := printItems(p, list.items, list.by, opts)
		if err != nil {
			return err
		}
		for _, column := range some {
			if !slices.Contains(left, column) {
				left = append(left, column)
			}
		}
		if list.title == undecidedTitle {
			p.Indented(0, "try: "+replay.Advice)
		}
	}
	noteColumns(opts.Factory.IO, left, "a pipe and -o json have all")
	return nil
}
