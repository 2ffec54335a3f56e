package prometheus

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
)

// covered are the spans in which the agent was scraped and counted, in order.
// Between two scrapes it counts, if it is the same process all the while and no
// step is without any.
func (t *target) covered(since time.Time) []flow.Gap {
	var out []flow.Gap
	for i, r := range t.runs {
		if !r.counting {
			continue
		}
		// It was first scraped somewhere in the step; what is known is the last.
		g := flow.Gap{From: r.from, To: r.to}
		if i == 0 && !r.first.After(since) {
			g.From = since // scraped before, and goes on
		}
		out = append(out, g)
	}
	return slices.DeleteFunc(out, func(g flow.Gap) bool { return !g.From.Before(g.To) })
}

// coverage says what was seen of each node in a span.
func coverage(targets []*target, since time.Time) flow.Coverage {
	spans, lost := map[string][]flow.Gap{}, map[string]*flow.NodeCoverage{}
	for _, t := range targets {
		spans[t.node] = append(spans[t.node], t.covered(since)...)
		n := lost[t.node]
		if n == nil {
			n = &flow.NodeCoverage{Node: t.node}
			lost[t.node] = n
		}
		n.Lost += t.lost
		n.LostUnknown = n.LostUnknown || t.lostUnknown
	}
	var c flow.Coverage
	for node, n := range lost {
		within(n, spans[node])
		c.Nodes = append(c.Nodes, *n)
		c.Lost += n.Lost
		c.LostUnknown = c.LostUnknown || n.LostUnknown
		if n.From.IsZero() {
			continue
		}
		if c.From.IsZero() || n.From.Before(c.From) {
			c.From = n.From
		}
		if n.To.After(c.To) {
			c.To = n.To
		}
	}
	if c.From.IsZero() { // nobody counted in the span
		c.From, c.To = since, since
	}
	slices.SortFunc(c.Nodes, func(a, b flow.NodeCoverage) int { return cmp.Compare(a.Node, b.Node) })
	return c
}

// within puts spans, those of one agent of the node after another, into the
// node's window. What none of them has is a gap.
func within(n *flow.NodeCoverage, spans []flow.Gap) {
	slices.SortFunc(spans, func(a, b flow.Gap) int { return a.From.Compare(b.From) })
	for i, sp := range spans {
		if i == 0 {
			n.From, n.To = sp.From, sp.To
			continue
		}
		if sp.From.After(n.To) {
			n.Gaps = append(n.Gaps, flow.Gap{From: n.To, To: sp.From})
		}
		if sp.To.After(n.To) {
			n.To = sp.To
		}
	}
}

// overlap bounds how long two agents of one node, one after the other, are
// scraped side by side.
const overlap = 2 * scrapeStep

// twice is what is wrong with targets that can't be added up: nil if nothing is.
func twice(targets []*target) error {
	clusters := map[string]bool{}
	for i, t := range targets {
		clusters[string(t.labels["cluster"])] = true
		for _, other := range targets[:i] {
			if t.node == other.node && t.sideBySide(other) > overlap {
				return &AmbiguousError{What: "node " + t.node + " is scraped twice, as " + t.labels.String() + " and as " + other.labels.String() + ": what is counted would be counted twice"}
			}
		}
	}
	if len(clusters) > 1 {
		return &AmbiguousError{What: "there are agents of several clusters: " + strings.Join(slices.Sorted(maps.Keys(clusters)), ", ")}
	}
	return nil
}

// AmbiguousError says that the server has more agents than one cluster's, or one
// of them twice: conditions on labels have to say which are meant.
type AmbiguousError struct{ What string }

// Error implements error.
func (e *AmbiguousError) Error() string { return e.What }

// sideBySide is for how long two targets were both scraped.
func (t *target) sideBySide(other *target) time.Duration {
	var sum time.Duration
	for _, a := range t.runs {
		for _, b := range other.runs {
			begin, end := a.begin, a.end
			if b.begin.After(begin) {
				begin = b.begin
			}
			if b.end.Before(end) {
				end = b.end
			}
			sum += max(end.Sub(begin), 0)
		}
	}
	return sum
}
