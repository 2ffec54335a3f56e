package cmd

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// itemText is a flow in a few words.
func itemText(it *stage.Item) string {
	return fmt.Sprintf("%s → %s %s", it.Source, it.Destination, it.Port.Text())
}

// blockedText is what would become of a flow, in one line.
func blockedText(it *stage.Item) string {
	var notes footnotes // off: in full
	return fmt.Sprintf("%s would be blocked: %s (%s, last seen %s)", itemText(it), itemBy(it, &notes),
		plural(int(it.Connections), "connection"), output.Time(it.LastSeen))
}

// refusedText is what becomes of a flow that needs nothing to be staged for it.
func refusedText(it *stage.Item) string {
	var notes footnotes // off: in full
	return fmt.Sprintf("%s is refused, and was allowed when it was seen: %s (%s, last seen %s)", itemText(it), itemBy(it, &notes),
		plural(int(it.Connections), "connection"), output.Time(it.LastSeen))
}

// undecidedText is why it is not known what would become of a flow.
func undecidedText(it *stage.Item) string {
	return fmt.Sprintf("%s can't be judged: %s (%s, last seen %s); %s", itemText(it), it.Reason,
		plural(int(it.Connections), "connection"), output.Time(it.LastSeen), replay.Advice)
}

// verdictOn is a flow that does not pass, in one line.
type verdictOn struct {
	item *stage.Item
	text string
	kind string // of the failure
}

// mayBlock is the kind of failure of a flow that can't be judged.
const mayBlock = "mayBlock"

// failures are the flows that would be blocked, those that are refused, and those
// that may be blocked or not.
func (r *impactReport) failures() []verdictOn {
	var out []verdictOn
	for i := range r.Items {
		out = append(out, verdictOn{&r.Items[i], blockedText(&r.Items[i]), "wouldBlock"})
	}
	for i := range r.Refused {
		out = append(out, verdictOn{&r.Refused[i], refusedText(&r.Refused[i]), "refused"})
	}
	for i, list := 0, r.MayBlock(); i < len(list); i++ {
		out = append(out, verdictOn{&list[i], undecidedText(&list[i]), mayBlock})
	}
	return out
}

// refuser is the key of the policy that refuses a flow first, or may.
func refuser(it *stage.Item) policy.Key {
	by := cmp.Or(it.BlockedBy, it.MayBeBlockedBy)
	if by == nil {
		return policy.Key{}
	}
	return policy.Key{Kind: policy.Kind(by.Kind), Namespace: by.Namespace, Name: by.Name}
}

func (p policyReport) key() policy.Key {
	return policy.Key{Kind: policy.Kind(p.Kind), Namespace: p.Namespace, Name: p.Name}
}

// deciders are the policies of the report, and others that refuse its flows, in
// the order of both.
func (r *impactReport) deciders() []policy.Key {
	var out []policy.Key
	for _, p := range r.Policies {
		out = append(out, p.key())
	}
	for _, f := range r.failures() {
		if k := refuser(f.item); k.Name != "" && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// origin is where a policy stands in a file, with a path as review tools see it.
func (r *impactReport) origin(key policy.Key) policy.Origin {
	if p := r.snap.Policy(key); p != nil && p.Origin.File != "" {
		at := p.Origin
		at.File = below(workingDirectory(), at.File)
		return at
	}
	return policy.Origin{}
}

// junit is a suite for each policy, with a case for each flow that it would
// or may block, or one that passes; and one for what was not seen.
func (r *impactReport) junit() []output.Suite {
	var out []output.Suite
	for _, key := range r.deciders() {
		suite, at := output.Suite{Name: key.String()}, r.origin(key)
		for _, f := range r.failures() {
			if refuser(f.item) != key {
				continue
			}
			suite.Cases = append(suite.Cases, output.Case{
				Name: itemText(f.item), ClassName: key.String(), File: at.File, Line: at.Line,
				Failure: &output.Failure{Errored: f.kind == mayBlock, Message: f.text, Type: f.kind, Text: f.text + "\n" + f.item.Reason},
			})
		}
		if len(suite.Cases) == 0 {
			suite.Cases = []output.Case{{Name: "blocks nothing that was seen", ClassName: key.String(), File: at.File, Line: at.Line}}
		}
		out = append(out, suite)
	}
	ready := output.Case{Name: "enough was seen", ClassName: "coverage"}
	if !r.Readiness.Ready {
		lines := append([]string{r.Readiness.Text()}, r.readinessLines(true, r.now)...)
		ready.Failure = &output.Failure{Message: r.Readiness.Text(), Type: "notReady", Text: strings.Join(lines, "\n")}
	}
	return append(out, output.Suite{Name: "coverage", Cases: []output.Case{ready}})
}

// sarif has a result for each flow that would be blocked, or may be; its rule is the policy
// that would, and its place where that stands. What was not seen has no place: it
// is a notification.
func (r *impactReport) sarif(p *output.Printer) error {
	tool := output.Tool{Name: "netpol", Version: programVersion(), URI: "https://github.com/netpol-project/netpol"}
	for _, key := range r.deciders() {
		tool.Rules = append(tool.Rules, output.Rule{
			Code: ruleID(key), Short: "Traffic that " + key.String() + " would block",
			Help: "Traffic that was seen would be blocked, or may be, if what is staged were enforced, or is by what is enforced. Allow it by a rule (netpol recommend), or leave it blocked on purpose.",
		})
	}
	if !r.Readiness.Ready {
		tool.Notes = append([]string{"Coverage: " + r.Readiness.Text()}, r.readinessLines(false, r.now)...)
	}
	findings := make([]output.Finding, 0, len(r.Items)+len(r.Refused))
	for _, f := range r.failures() {
		key := refuser(f.item)
		at := r.origin(key)
		findings = append(findings, output.Finding{
			Code: ruleID(key), Message: f.text, File: at.File, Line: at.Line, Column: at.Column,
			Resource: key.String(), Field: itemText(f.item),
		})
	}
	return p.SARIF(tool, findings)
}

// ruleID is a policy as review tools name rules.
func ruleID(key policy.Key) string {
	return strings.ReplaceAll(key.String(), " ", "/")
}

// markdown is the report for a comment on a pull request.
func (r *impactReport) markdown(p *output.Printer) {
	heading := strings.Join(r.heading(0), " ")
	p.Printf("### %s\n\n", escapeMarkdown(heading))
	p.Printf("%s of %s, %s.\n", output.Count(r.Summary.Connections.WouldBlock, r.Coverage.LostUnknown),
		plural(int(r.Summary.Connections.Observed), "connection"), escapeMarkdown(r.Coverage.text()))
	for _, note := range r.actionNotes() {
		p.Printf("%s.\n", escapeMarkdown(note))
	}
	if text := r.trendText(&output.Printer{}, r.now); text != "" {
		p.Printf("%s.\n", escapeMarkdown(text))
	}
	if r.Live.WouldCut > 0 {
		p.Printf("%s.\n", r.Live.text())
	}
	r.markdownFlows(p, "Would be blocked", "Blocked by", r.Items)
	r.markdownFlows(p, "Would be allowed, and is refused now", "Refused by", r.WouldAllow)
	r.markdownFlows(p, refusedTitle, "Refused by", r.Refused)
	r.markdownFlows(p, undecidedTitle, "Why", r.Undecided)
	if len(r.Undecided) > 0 {
		p.Printf("\n%s\n", escapeMarkdown("Try: "+replay.Advice))
	}
	r.markdownFlows(p, goneTitle, "Why", r.Gone)
	if len(r.Policies)+len(r.Unjudged) == 0 {
		return
	}
	p.Printf("\nCoverage: **%s**\n", escapeMarkdown(r.Readiness.Text()))
	lines := r.readinessLines(true, r.now)
	if len(lines) == 0 {
		return
	}
	p.Printf("\n<details><summary>What was not seen</summary>\n\n")
	for _, line := range lines {
		p.Printf("- %s\n", escapeMarkdown(line))
	}
	p.Printf("\n</details>\n")
}

// mostMarkdown is how many rows a table has: GitHub refuses comments of more
// than 65 536 characters.
const mostMarkdown = 100

func (r *impactReport) markdownFlows(p *output.Printer, title, by string, items []stage.Item) {
	if len(items) == 0 {
		return
	}
	p.Printf("\n#### %s\n\n| From | To | Port | Connections | Last seen | %s |\n|---|---|---|---:|---|---|\n", title, by)
	var notes footnotes
	for i := range items[:min(len(items), mostMarkdown)] {
		it := &items[i]
		p.Printf("| %s | %s | %s | %d | %s | %s |\n", escapeMarkdown(it.Source.String()), escapeMarkdown(it.Destination.String()),
			escapeMarkdown(it.Port.Text()), it.Connections, output.Time(it.LastSeen), escapeMarkdown(itemBy(it, &notes)))
	}
	if more := len(items) - mostMarkdown; more > 0 {
		p.Printf("\nand %s more\n", plural(more, "flow"))
	}
}

// escapeMarkdown keeps what stands in names and schedules from being markup.
func escapeMarkdown(text string) string {
	return strings.NewReplacer("\\", "\\\\", "|", "\\|", "<", "&lt;", ">", "&gt;", "`", "\\`", "_", "\\_", "*", "\\*", "[", "\\[", "]", "\\]",
		"\n", " ", "\r", " ", "@", "@\u200b").Replace(text)
}
