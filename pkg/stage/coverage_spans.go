package stage

import (
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
)

const day = 24 * time.Hour

// span is a span of time, to apart.
type span struct{ from, to time.Time }

// spans are in order, and do not touch.
type spans []span

// untold is how much may be missing at the end of a node's window that is just
// not told yet: agents tell once a second.
const untold = 5 * time.Second

// observedAnywhere is when somebody counted: on any node, where nodes are known.
func observedAnywhere(c *flow.Coverage) spans {
	if !c.From.Before(c.To) {
		return nil
	}
	if len(c.Nodes) == 0 {
		return spans{{c.From, c.To}}
	}
	var all spans
	for i := range c.Nodes {
		all = append(all, nodeSpans(c, &c.Nodes[i])...)
	}
	return all.joined()
}

// nodeSpans are when a node was observed, as far as that is in the window.
func nodeSpans(c *flow.Coverage, n *flow.NodeCoverage) spans {
	if n.From.IsZero() {
		return nil // nothing was ever heard of it
	}
	x := span{n.From, n.To}
	if x.from.Before(c.From) {
		x.from = c.From
	}
	if c.To.Sub(x.to) <= untold {
		x.to = c.To
	}
	if !x.from.Before(x.to) {
		return nil
	}
	out := spans{x}
	for _, g := range n.Gaps {
		out = out.without(span{g.From, g.To})
	}
	return out
}

// observedEverywhere is when nothing can have been missed: when somebody counted,
// without the gaps of any node, since what runs now and then may have been there.
// A node that came later, or went, is no gap.
func observedEverywhere(c *flow.Coverage) spans {
	out := observedAnywhere(c)
	for _, n := range c.Nodes {
		for _, g := range n.Gaps {
			out = out.without(span{g.From, g.To})
		}
	}
	return out
}

// joined are spans that may overlap, in order and apart.
func (s spans) joined() spans {
	slices.SortFunc(s, func(a, b span) int { return a.from.Compare(b.from) })
	var out spans
	for _, x := range s {
		if n := len(out); n > 0 && !x.from.After(out[n-1].to) {
			if x.to.After(out[n-1].to) {
				out[n-1].to = x.to
			}
			continue
		}
		out = append(out, x)
	}
	return out
}

// without cuts a span out.
func (s spans) without(gap span) spans {
	if !gap.from.Before(gap.to) {
		return s
	}
	var out spans
	for _, x := range s {
		if !gap.from.Before(x.to) || !x.from.Before(gap.to) {
			out = append(out, x)
			continue
		}
		if x.from.Before(gap.from) {
			out = append(out, span{x.from, gap.from})
		}
		if gap.to.Before(x.to) {
			out = append(out, span{gap.to, x.to})
		}
	}
	return out
}

func (s spans) length() time.Duration {
	var sum time.Duration
	for _, x := range s {
		sum += x.to.Sub(x.from)
	}
	return sum
}

// mostOfAnHour is how much of an hour of the day has to be seen, on one day or
// several together.
const mostOfAnHour = 45 * time.Minute

// hoursMissing are the hours of the day, UTC, that were not seen.
func (s spans) hoursMissing() []int {
	var seen [24 * 60]bool // by the minute of the day
	for _, x := range s {
		from, to := x.from.UTC(), x.to.UTC()
		if to.Sub(from) > day {
			from = to.Add(-day) // all the day, once
		}
		at := from.Truncate(time.Minute)
		for ; at.Before(to); at = at.Add(time.Minute) {
			seen[at.Hour()*60+at.Minute()] = true
		}
	}
	out := []int{}
	for h := range 24 {
		minutes := 0
		for m := range 60 {
			if seen[h*60+m] {
				minutes++
			}
		}
		if time.Duration(minutes)*time.Minute < mostOfAnHour {
			out = append(out, h)
		}
	}
	return out
}
