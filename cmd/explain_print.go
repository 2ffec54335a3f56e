package cmd

import (
	"fmt"
	"strings"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/connectivity"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

func printExplanation(p *output.Printer, e *explained) {
	what := connectivity.PortText(e.protocol, e.port)
	if e.sourcePort != 0 {
		what = fmt.Sprintf("%s from port %d", what, e.sourcePort)
	}
	p.Line(output.Cell{Text: fmt.Sprintf("%s → %s %s:", e.source, e.destination, what)}, output.Verdict(e.allowed))
	for _, n := range e.notes {
		p.Indented(2, n)
	}
	if len(e.ends) == 0 && len(e.notes) == 0 {
		p.Indented(2, "neither end is a pod, so no policy is asked")
	}
	for i := range e.ends {
		p.Printf("\n")
		printEnd(p, &e.ends[i])
	}
	if e.pending != nil {
		p.Printf("\n")
		printPending(p, e)
	}
}

func printEnd(p *output.Printer, end *endWalk) {
	p.Line(output.Cell{Text: fmt.Sprintf("%s at %s:", end.walk.Direction, end.at)}, output.Verdict(end.walk.Verdict.Action == policy.Allow))
	if len(end.walk.Tiers) == 0 {
		p.Indented(2, "no policy selects it in this direction, so all is allowed")
	}
	for i := range end.walk.Tiers {
		printTier(p, &end.walk.Tiers[i])
	}
	if end.walk.Verdict.By.Rule == policy.NoPolicy && len(end.walk.Tiers) > 0 {
		p.Indented(2, "no tier decided: allowed")
	}
	if n := len(end.notReached); n > 0 {
		names := make([]string, n)
		for i, k := range end.notReached {
			names[i] = k.String()
		}
		const few = 5
		if n > few {
			names = append(names[:few], fmt.Sprintf("%d more", n-few))
		}
		p.Indented(2, "select it too, but were not reached: "+strings.Join(names, ", "))
	}
}

func printTier(p *output.Printer, t *tier.TierStep) {
	p.Printf("  tier %s\n", t.Tier)
	for _, ps := range t.Policies {
		p.Printf("    %s (order %s)\n", ps.Policy.Key, orderText(ps.Policy.Order))
		if len(ps.Rules) == 0 {
			p.Printf("      no rules\n")
		}
		for _, r := range ps.Rules {
			switch {
			case r.Matched:
				p.Indented(6, fmt.Sprintf("rule %d %s: matches%s", r.Index, r.Action, decides(r.Action)))
			case r.Failed == "http":
				p.Indented(6, fmt.Sprintf("rule %d %s: no, it asks for HTTP %s, which is not judged here", r.Index, r.Action, r.Wanted))
			case r.Failed == tier.FailedByFault:
				p.Indented(6, fmt.Sprintf("rule %d %s: no, it could not be understood (validate says why) and matches nothing", r.Index, r.Action))
			default:
				p.Indented(6, fmt.Sprintf("rule %d %s: no, %s wants %s, met %s", r.Index, r.Action, r.Failed, r.Wanted, r.Met))
			}
		}
	}
	if t.ByDefault {
		p.Printf("    end of tier: %s%s\n", t.Outcome, decides(t.Outcome))
	}
}

func decides(a policy.Action) string {
	switch a {
	case policy.Pass:
		return " → next tier"
	case policy.Log:
		return " → logged"
	}
	return " ← decides"
}

func orderText(o policy.Order) string {
	if o == policy.Unordered {
		return "none"
	}
	return fmt.Sprintf("%g", o)
}

// printPending tells what staged policies would change.
func printPending(p *output.Printer, e *explained) {
	a := e.pending
	p.Line(output.Cell{Text: "pending:"}, output.Verdict(a.allowed))
	by := "by no policy any more"
	if a.by.Rule != policy.NoPolicy {
		by = fmt.Sprintf("by %s (%s)", hitText(newHitReport(a.by, a.dir)), a.dir)
	}
	if a.allowed == e.allowed {
		p.Indented(2, "if every staged policy were enforced, as now, but "+by)
		return
	}
	p.Indented(2, "if every staged policy were enforced, "+by)
	for _, k := range a.alone {
		name := k.Name
		if k.Namespace != "" {
			name = k.Namespace + "/" + name
		}
		p.Indented(2, fmt.Sprintf("%s alone does it: --only %s", k, name))
	}
}
