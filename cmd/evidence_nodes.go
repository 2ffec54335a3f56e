package cmd

import (
	"fmt"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
)

// nodeCoverageReport is a flow.NodeCoverage in JSON. Without from and to nobody
// counted on the node in the window.
type nodeCoverageReport struct {
	Node        string      `json:"node"`
	From        *time.Time  `json:"from,omitempty"`
	To          *time.Time  `json:"to,omitempty"`
	Gaps        []gapReport `json:"gaps,omitempty"`
	Lost        int64       `json:"lost"`
	LostUnknown bool        `json:"lostUnknown"`
}

type gapReport struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

func newNodeCoverage(nodes []flow.NodeCoverage) []nodeCoverageReport {
	var out []nodeCoverageReport
	for _, n := range nodes {
		r := nodeCoverageReport{Node: n.Node, Lost: n.Lost, LostUnknown: n.LostUnknown}
		if !n.From.IsZero() {
			from, to := n.From.UTC().Truncate(time.Second), n.To.UTC().Truncate(time.Second)
			r.From, r.To = &from, &to
		}
		for _, g := range n.Gaps {
			r.Gaps = append(r.Gaps, gapReport{g.From.UTC().Truncate(time.Second), g.To.UTC().Truncate(time.Second)})
		}
		out = append(out, r)
	}
	return out
}

// nodesText says of which nodes something is missing, if anything is: nodes that
// nobody counted on, or not for all of the time. What agents tell once a second
// is not missing yet.
func nodesText(c coverageReport) (out string) {
	const slack = time.Minute
	var never, partly int
	var gaps time.Duration
	for _, n := range c.Nodes {
		if n.From == nil {
			never++
			continue
		}
		var gap time.Duration
		for _, g := range n.Gaps {
			gap += g.To.Sub(g.From)
		}
		if len(n.Gaps) > 0 || n.From.Sub(c.From) > slack || c.To.Sub(*n.To) > slack {
			partly++
			gaps = max(gaps, gap+max(n.From.Sub(c.From), 0)+max(c.To.Sub(*n.To), 0))
		}
	}
	if never > 0 {
		out += fmt.Sprintf("; nobody counted on %d of %s", never, plural(len(c.Nodes), "node"))
	}
	if partly > 0 {
		out += fmt.Sprintf("; on %d of %s not all of the time (%s at most were missed)", partly, plural(len(c.Nodes), "node"), gaps+time.Second) // they are cut to seconds
	}
	return out
}
