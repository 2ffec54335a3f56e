package cmd

import (
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// show prints the edits and writes nothing.
func (o *FixOptions) show(res *recommend.FixResult, patches []patch, coverage coverageReport) error {
	p := o.IO.Printer()
	if o.Format.Structured() {
		if err := p.Object(o.Format, newFixReport(res, patches, coverage)); err != nil {
			return err
		}
	} else {
		for _, one := range patches {
			p.Printf("%s", one.text)
		}
	}
	o.tellFixes(res)
	return nil
}

// editsFor are in words the edits that a flow needs.
func editsFor(res *recommend.FixResult, g *recommend.FixGroup) []string {
	out := []string{}
	for _, e := range res.Edits {
		out = append(out, e.For(g.Flow)...)
	}
	return out
}

// tellFixes says on stderr what became of each flow, and what the edits do
// beside.
func (o *FixOptions) tellFixes(res *recommend.FixResult) {
	if o.idle != "" {
		o.IO.ErrPrinter().Printf("nothing to fix: %s\n", o.idle)
		return
	}
	p := o.IO.ErrPrinter()
	proof := &res.Proof
	if len(res.Groups)+len(proof.Doubts) == 0 {
		p.Printf("nothing to fix: what is staged would block nothing that was seen\n")
		return
	}
	var rest []recommend.Skipped
	for _, g := range res.Groups {
		if g.State == recommend.FixDone {
			p.Printf("fixed: %s: %s\n", recommend.FlowText(g.Flow), strings.Join(editsFor(res, g), "; "))
			continue
		}
		rest = append(rest, recommend.Skipped{Flow: g.Flow, Kind: recommend.SkipKind(g.State), Reason: g.Reason})
	}
	for _, l := range leftByReason(rest) {
		switch recommend.FixState(l.Kind) {
		case recommend.FixDecision:
			p.Printf("for a person to decide: %s: %s\n", l.text(), l.Reason)
		case recommend.FixUndecided:
			p.Printf("can't be judged: %s: %s\n", l.text(), l.Reason)
		case recommend.FixReview:
			p.Printf("for review: %s: %s; --include-suspicious fixes it\n", l.text(), l.Reason)
		default:
			p.Printf("not fixed: %s: %s\n", l.text(), l.Reason)
		}
	}
	if slices.ContainsFunc(rest, func(s recommend.Skipped) bool { return s.Kind == recommend.SkipKind(recommend.FixUndecided) }) {
		p.Printf("try: %s\n", replay.Advice)
	}
	p.Printf("proof: %d of %s would be blocked with the edits", proof.Remaining, plural(proof.Blocked, "blocked flow"))
	if proof.Undecided > 0 {
		p.Printf(", %d can't be judged", proof.Undecided)
	}
	p.Printf(", and %d that %s not seen would be allowed\n", len(proof.NotObserved), wereWas(len(proof.NotObserved)))
	for i, n := range proof.NotObserved {
		if i == shownPairs {
			p.Printf("  … and %d more (-o json lists all)\n", len(proof.NotObserved)-i)
			break
		}
		p.Printf("  not seen but allowed: %s\n", pairText(n))
	}
	for _, fl := range proof.Opened {
		p.Printf("  seen, not asked for, but allowed: %s\n", recommend.FlowText(fl))
	}
	for i, w := range proof.Wider {
		if i == shownPairs {
			p.Printf("  … and %d wider nets more (-o json lists all)\n", len(proof.Wider)-i)
			break
		}
		p.Printf("  wider than what was seen: %s\n", widerText(w))
	}
	for _, b := range blockedTexts(proof.Breaks) {
		p.Printf("  warning: the edits would block: %s\n", b)
	}
	for _, d := range doubtTexts(proof.Doubts) {
		p.Printf("  warning: the edits may block: %s\n", d)
	}
}
