package cmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/stage"
)

// seen is how many flows that were seen would be blocked.
func (g *gate) seen() int {
	if g.blind() {
		return 0
	}
	return int(g.report.Impact.Summary.Flows.WouldBlock)
}

// undecided is how many flows that were seen may be blocked.
func (g *gate) undecided() int {
	if g.blind() {
		return 0
	}
	return len(g.report.Impact.MayBlock())
}

// what names what is promoted.
func what(list []promotion) string {
	if len(list) == 1 {
		return list[0].policy.Key.String()
	}
	return plural(len(list), "policy") + " together"
}

// enforcedNames names the enforced policies that a change is about.
func enforcedNames(list []promotion) string {
	if len(list) == 1 {
		if twin, ok := stage.Twin(list[0].policy.Key); ok {
			return twin.String()
		}
	}
	return what(list)
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// maxLines bounds how many reasons are told.
const maxLines = 10

// problemLines are the reasons not to go on, one a line.
func problemLines(r *stage.PreflightReport) []string {
	var lines []string
	if r.Impact != nil {
		seen := slices.DeleteFunc(slices.Clone(r.Problems), func(p stage.Problem) bool { return p.Class != stage.ClassObserved || p.Undecided })
		for i := range r.Impact.Items {
			it, fix := &r.Impact.Items[i], ""
			if len(seen) == len(r.Impact.Items) {
				fix = fixLine(seen[i].Fix) // they are in the same order
			}
			lines = append(lines, fmt.Sprintf("%s → %s %s, %s: %s", it.Source, it.Destination, it.Port.Text(),
				plural(int(it.Connections), "connection"), itemBy(it, &footnotes{}))+fix)
		}
		for _, it := range r.Impact.MayBlock() {
			lines = append(lines, fmt.Sprintf("%s, %s: can't be judged: %s", itemText(&it), plural(int(it.Connections), "connection"), it.Reason))
		}
	}
	for _, p := range r.Refusals() {
		if p.Class != stage.ClassObserved {
			lines = append(lines, problemLine(&p))
		}
	}
	if n := len(lines) - maxLines; n > 0 {
		lines = append(lines[:maxLines:maxLines], fmt.Sprintf("and %d more", n))
	}
	return lines
}

// fixLine is a line with the rule that would help; none where a command writes
// it.
func fixLine(fix string) string {
	if fix == "" || strings.HasPrefix(fix, "netpol ") {
		return ""
	}
	return "\nadd to " + fix
}

func problemLine(p *stage.Problem) string {
	return fmt.Sprintf("%s: %s → %s %s (%s): %s", p.Class, p.Source, p.Destination, p.Port.Text(), p.For, p.Reason) + fixLine(p.Fix)
}

// tell shows a preflight where nothing is written.
func (g *gate) tell(o *EditOptions) {
	if g.report == nil || !o.DryRun.on() || o.Format != output.Text {
		return
	}
	p := o.IO.Printer()
	p.Printf("preflight, in this order: %s\n", strings.Join(g.report.Order, ", "))
	if len(g.report.Bridge) > 0 && !o.Offline() {
		p.Printf("  bridged for the moments between by %s\n", strings.Join(g.report.Bridge, ", "))
	}
	for _, c := range g.report.Checks {
		p.Printf("  %-10s  %d looked at, %d would be cut", c.Class, c.Checked, c.Cut)
		if n := g.undecided(); n > 0 && c.Class == stage.ClassObserved {
			p.Printf(", %d can't be judged", n)
		}
		p.Printf("\n")
	}
	for i := range g.report.Problems {
		p.Printf("  %s\n", strings.ReplaceAll(problemLine(&g.report.Problems[i]), "\n", "\n    "))
	}
	if g.report.Opens != "" && !o.Offline() {
		p.Printf("  open for a moment, and closed before and after: %s\n", g.report.Opens)
	}
	for _, note := range g.report.Notes {
		p.Printf("  note: %s\n", note)
	}
	for _, note := range g.report.NotChecked {
		p.Printf("  not checked: %s\n", note)
	}
}
