package cmd

import (
	"fmt"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
)

// coverageReport is a flow.Coverage in JSON.
type coverageReport struct {
	// From and To are the window; both are missing where nothing was observed.
	From        time.Time `json:"from,omitzero"`
	To          time.Time `json:"to,omitzero"`
	Lost        int64     `json:"lost"`
	LostUnknown bool      `json:"lostUnknown"`
	Evicted     int64     `json:"evicted"`
	// Restricted: flows are left out that are not the user's to see.
	Restricted bool `json:"restricted,omitempty"`
	// Namespaces are those whose flows a recording has; none: all.
	Namespaces []string `json:"namespaces,omitempty"`
	// Nodes are the windows of each node's agent, where they are known.
	Nodes []nodeCoverageReport `json:"nodes,omitempty"`
	// Policies are the staged policies that a report is about, and since when
	// each is judged as it is, where that is known.
	Policies []policyReport `json:"policies,omitempty"`
}

func newCoverageReport(c flow.Coverage) coverageReport {
	return coverageReport{
		Nodes: newNodeCoverage(c.Nodes),
		From:  c.From.UTC().Truncate(time.Second), To: c.To.UTC().Truncate(time.Second),
		Lost: c.Lost, LostUnknown: c.LostUnknown, Evicted: c.Evicted, Restricted: c.Restricted, Namespaces: c.Namespaces,
	}
}

// were is "1 flow more was" or "2 flows more were".
func were(n int64, what, more string) string {
	verb := "were"
	if n == 1 {
		verb = "was"
	}
	return plural(int(n), what) + more + " " + verb
}

// text is the window in words, and what is missing of it.
func (c coverageReport) text() string {
	out := fmt.Sprintf("seen from %s to %s", c.From.Format(time.RFC3339), c.To.Format(time.RFC3339))
	switch {
	case c.From.IsZero() && c.To.IsZero():
		return "nothing was observed"
	case c.To.Before(c.From):
		return "nothing was observed since " + c.From.Format(time.RFC3339)
	}
	switch {
	case c.LostUnknown && c.Lost == 0:
		out += "; some connections are missing, so every number is a lower bound"
	case c.LostUnknown:
		out += fmt.Sprintf("; at least %s lost, so every number is a lower bound", were(c.Lost, "connection", ""))
	case c.Lost > 0:
		out += fmt.Sprintf("; %s lost", were(c.Lost, "connection", " more"))
	}
	if c.Evicted > 0 {
		out += fmt.Sprintf("; %s dropped to stay within bounds", were(c.Evicted, "flow", " more"))
	}
	out += nodesText(c)
	if c.Restricted {
		out += "; only flows of namespaces that are yours to see"
	}
	return out
}
