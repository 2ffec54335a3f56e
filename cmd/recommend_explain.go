package cmd

import (
	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// printExplained tells of each rule why it is there, and of the whole what it
// allows that was not seen.
func printExplained(p *output.Printer, res *recommend.Result) error {
	for _, r := range res.Policies {
		p.Printf("%s\n", r.Explain())
	}
	for i, n := range res.Proof.NotObserved {
		if i == 0 {
			p.Printf("Not seen, but allowed:\n")
		}
		p.Printf("  %s\n", pairText(n))
	}
	for i, w := range res.Proof.Wider {
		if i == 0 {
			p.Printf("Wider than what was seen:\n")
		}
		p.Printf("  %s\n", widerText(w))
	}
	for i, b := range blockedTexts(res.Proof.Blocked) {
		if i == 0 {
			p.Printf("Blocked all the same:\n")
		}
		p.Printf("  %s\n", b)
	}
	for i, d := range doubtTexts(res.Proof.Doubts) {
		if i == 0 {
			p.Printf("May be blocked by this:\n")
		}
		p.Printf("  %s\n", d)
	}
	for i, o := range flowTexts(res.Once) {
		if i == 0 {
			p.Printf("Seen only once, and allowed:\n")
		}
		p.Printf("  %s\n", o)
	}
	for i, s := range res.Skipped {
		if i == 0 {
			p.Printf("Left out:\n")
		}
		skip := newSkip(s)
		p.Printf("  %s: %s\n", skip.Flow+skip.Workload, skip.Reason)
	}
	if len(res.Unseen) > 0 {
		p.Printf("Nothing to allow was seen of:\n  %s\n", workloadNames(res.Unseen))
	}
	if len(res.Covered) > 0 {
		p.Printf("Nothing is missing for:\n  %s\n", workloadNames(res.Covered))
	}
	return nil
}
