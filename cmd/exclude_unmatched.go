package cmd

import (
	"slices"

	"github.com/netpol-project/netpol/internal/output"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/recommend"
)

// tellUnmatched says which of the values of a flag that picks flows picks none: a
// name that is not spelt right must not go for one that was left out.
func tellUnmatched(p *output.Printer, flag string, values []string, sets []recommend.Exclude, ev *evidence) {
	if len(sets) == 0 {
		return
	}
	seen := replay.New(ev.model).Observed(ev.flows)
	for i := range sets {
		if !slices.ContainsFunc(seen, func(o flow.Observed) bool { return sets[i].Match(&o) }) {
			p.Printf("warning: %s %s: no flow that was seen is meant by that\n", flag, values[i])
		}
	}
}
