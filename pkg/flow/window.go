package flow

import (
	"cmp"
	"slices"
	"time"
)

// window is since when and until when a node's agent counted.
type window struct {
	// From and To are Unix nanoseconds; To is 0 while it counts here, so that
	// it is always now.
	From, To int64
	Gaps     []span
	// Missing of this node, by hour; nil where all that is missing is its own.
	Missing []missingOf

	own     bool
	dirty   bool  // to be kept
	keptEnd int64 // To as it was kept last
}

// span is from one moment to another, Unix nanoseconds.
type span struct{ From, To int64 }

// missingOf is a lack of one hour, and how much of it is told.
type missingOf struct {
	Hour, Lost, Evicted   int64
	Unknown               bool
	ToldLost, ToldEvicted int64 `json:",omitempty"`
	ToldUnknown           bool  `json:",omitempty"`
}

// maxGaps bounds the gaps that are told apart of one node. Of more, those that
// are closest together become one: rather too little is claimed than too much.
const maxGaps = 200

// Own says that what is counted here is a node's, and begins its window.
func (a *Aggregator) Own(node string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.windows[node]
	if w == nil {
		w = &window{From: a.start.UnixNano(), dirty: true}
		a.windows[node] = w
	}
	w.own = true
}

// Gap notes that nobody counted from one moment to another, nor knows what there
// was: the agent of the node was stopped, or has died, or what it counted could
// not be kept. All hours of that are in doubt.
func (a *Aggregator) Gap(node string, from, to time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.windows[node]; w != nil {
		w.gap(span{from.UnixNano(), to.UnixNano()})
	}
	a.doubt(from.UnixNano(), to.UnixNano())
}

// Gaps are since when a node's agent counts, and the gaps in it.
func (a *Aggregator) Gaps(node string) (from time.Time, gaps []Gap) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.windows[node]
	if w == nil {
		return a.start, nil
	}
	for _, g := range w.Gaps {
		gaps = append(gaps, Gap{time.Unix(0, g.From).UTC(), time.Unix(0, g.To).UTC()})
	}
	return time.Unix(0, w.From), gaps
}

// gap adds a gap. The gaps stay sorted and apart from each other.
func (w *window) gap(g span) {
	if g.To <= g.From {
		return
	}
	w.dirty = true
	w.Gaps = append(w.Gaps, g)
	slices.SortFunc(w.Gaps, func(x, y span) int { return cmp.Or(cmp.Compare(x.From, y.From), cmp.Compare(x.To, y.To)) })
	out := w.Gaps[:1]
	for _, next := range w.Gaps[1:] {
		if last := &out[len(out)-1]; next.From <= last.To {
			last.To = max(last.To, next.To)
		} else {
			out = append(out, next)
		}
	}
	for len(out) > maxGaps {
		at := 1
		for i := 2; i < len(out); i++ {
			if out[i].From-out[i-1].To < out[at].From-out[at-1].To {
				at = i
			}
		}
		out[at-1].To = out[at].To
		out = slices.Delete(out, at, at+1)
	}
	w.Gaps = out
}

// covered notes what an agent says of itself: that it has counted since from, but
// for gaps. Between what was known before and from nobody has.
func (w *window) covered(from int64, gaps []span) {
	if from > w.To {
		w.gap(span{w.To, from})
	}
	for _, g := range gaps {
		if g.From = max(g.From, from); g.From < g.To {
			w.gap(g)
		}
	}
	if from < w.From {
		w.From, w.dirty = from, true
	}
}

// forget drops what ended before the moment oldest.
func (w *window) forget(oldest int64) {
	w.Gaps = slices.DeleteFunc(w.Gaps, func(g span) bool { return g.To <= oldest })
	w.Missing = slices.DeleteFunc(w.Missing, func(m missingOf) bool { return m.Hour+int64(coarse) <= oldest })
}

// lacks adds what is missing of an hour.
func (w *window) lacks(m Missing) {
	w.dirty = true
	for i := range w.Missing {
		if at := &w.Missing[i]; at.Hour == m.Hour {
			at.Lost += m.Lost
			at.Evicted += m.Evicted
			at.Unknown = at.Unknown || m.Unknown
			return
		}
	}
	w.Missing = append(w.Missing, missingOf{Hour: m.Hour, Lost: m.Lost, Evicted: m.Evicted, Unknown: m.Unknown})
}

// during is what of the window lies between two moments. All of that is zero but
// the name if nothing does.
func (w *window) during(node string, from, to int64) NodeCoverage {
	end := w.To
	if w.own || end == 0 || end > to {
		end = to
	}
	out := NodeCoverage{Node: node}
	begin := max(w.From, from)
	if end < begin {
		return out
	}
	out.From, out.To = time.Unix(0, begin).UTC(), time.Unix(0, end).UTC()
	for _, g := range w.Gaps {
		if f, t := max(g.From, begin), min(g.To, end); f < t {
			out.Gaps = append(out.Gaps, Gap{time.Unix(0, f).UTC(), time.Unix(0, t).UTC()})
		}
	}
	for _, m := range w.Missing {
		if m.Hour+int64(coarse) > from && m.Hour <= to {
			out.Lost += m.Lost
			out.LostUnknown = out.LostUnknown || m.Unknown
		}
	}
	return out
}

// nodes are the windows of all nodes, as far as they lie in the coverage. It
// needs the lock.
func (a *Aggregator) nodes(c *Coverage) {
	for name, w := range a.windows {
		n := w.during(name, c.From.UnixNano(), c.To.UnixNano())
		if w.own {
			n.Lost, n.LostUnknown = c.Lost, c.LostUnknown
		}
		c.Nodes = append(c.Nodes, n)
	}
	slices.SortFunc(c.Nodes, func(x, y NodeCoverage) int { return cmp.Compare(x.Node, y.Node) })
}

// Windowless adds those nodes that nothing was ever heard of, of which the flows
// are no evidence at all.
func (c *Coverage) Windowless(nodes []string) {
	known := map[string]bool{}
	for _, n := range c.Nodes {
		known[n.Node] = true
	}
	for _, n := range nodes {
		if !known[n] {
			known[n] = true
			c.Nodes = append(c.Nodes, NodeCoverage{Node: n})
		}
	}
	slices.SortFunc(c.Nodes, func(x, y NodeCoverage) int { return cmp.Compare(x.Node, y.Node) })
}
