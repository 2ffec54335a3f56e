package stage

import (
	"cmp"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// NodeWindow is when a node was observed; From and To are absent where it was
// not.
type NodeWindow struct {
	Node     string     `json:"node"`
	Observed bool       `json:"observed"`
	From     *time.Time `json:"from,omitempty"`
	To       *time.Time `json:"to,omitempty"`
	// Ended: nobody counts there any more, though it runs selected pods.
	Ended bool `json:"ended,omitempty"`
	// ObservedSeconds is for how long it was observed, gaps apart.
	ObservedSeconds int64 `json:"observedSeconds"`
	// NeededSeconds is for how long it has to be: the least, or as long as anything
	// was observed, or the node is there, where that is less.
	NeededSeconds int64 `json:"neededSeconds"`
	// Short: it was observed for less than is needed.
	Short bool `json:"short,omitempty"`
	// HoursMissing are hours of the day (UTC) in which nothing was seen of this
	// node, though elsewhere; where all hours are asked for, and it is not short.
	HoursMissing []int `json:"hoursMissing,omitempty"`
	// Created is when the node joined; only if that was while traffic was counted
	// already, so that it is younger than the window.
	Created     *time.Time `json:"created,omitempty"`
	GapSeconds  int64      `json:"gapSeconds"`
	Lost        int64      `json:"lost"`
	LostUnknown bool       `json:"lostUnknown"`
}

// silence is how long an agent says nothing before it counts as gone: longer
// than one takes to start again.
const silence = 5 * time.Minute

// nodeWindows are those of the nodes that matter, sorted. Each is held against
// what is asked for: that another one was observed for long is no evidence of
// what happened here.
func (r *Readiness) nodeWindows(ev *Evidence, anywhere spans, nodes map[string]bool, present []*policy.Node) {
	c := &ev.Coverage
	if len(c.Nodes) == 0 {
		return
	}
	if len(nodes) == 0 && r.Selected > 0 { // from manifests: they may run anywhere
		for _, n := range c.Nodes {
			if !n.From.IsZero() && c.To.Sub(n.To) <= silence {
				nodes[n.Node] = true
			}
		}
	}
	joined := map[string]time.Time{}
	for _, n := range present {
		if at := time.Unix(0, n.Created).UTC(); n.Created != 0 && at.After(c.From) {
			joined[n.Name] = at.Truncate(time.Second)
		}
	}
	for i := range c.Nodes {
		n := &c.Nodes[i]
		if !nodes[n.Node] || n.From.IsZero() { // or nothing was ever heard of it
			continue
		}
		delete(nodes, n.Node)
		r.Nodes = append(r.Nodes, r.nodeWindow(c, n, anywhere, joined[n.Node]))
	}
	for name := range nodes {
		r.Nodes = append(r.Nodes, NodeWindow{Node: name})
	}
	slices.SortFunc(r.Nodes, func(a, b NodeWindow) int { return cmp.Compare(a.Node, b.Node) })
}

// nodeWindow is that of one node; joined is zero where it is as old as the
// window, or nobody knows.
func (r *Readiness) nodeWindow(c *flow.Coverage, n *flow.NodeCoverage, anywhere spans, joined time.Time) NodeWindow {
	from, to := n.From.UTC().Truncate(time.Second), n.To.UTC().Truncate(time.Second)
	w := NodeWindow{Node: n.Node, Observed: true, From: &from, To: &to, Lost: n.Lost, LostUnknown: n.LostUnknown,
		Ended: c.To.Sub(n.To) > silence}
	for _, g := range n.Gaps {
		w.GapSeconds += int64(g.To.Sub(g.From) / time.Second)
	}
	observed := nodeSpans(c, n)
	needed := min(time.Duration(r.LeastSeconds)*time.Second, anywhere.length())
	if !joined.IsZero() {
		w.Created = &joined
		// Before that it ran no pods, so nothing of then is missing.
		needed = min(needed, max(c.To.Sub(joined), 0))
	}
	w.ObservedSeconds, w.NeededSeconds = int64(observed.length()/time.Second), int64(needed/time.Second)
	w.Short = observed.length()+tolerance(needed) < needed
	if needed >= day && !w.Short {
		elsewhere := anywhere.hoursMissing()
		w.HoursMissing = slices.DeleteFunc(observed.hoursMissing(), func(h int) bool { return slices.Contains(elsewhere, h) })
	}
	return w
}

// tolerance is how much of a time an agent may take to start, on a node that has
// just joined or after an upgrade: a twentieth, but no longer than silence.
func tolerance(of time.Duration) time.Duration { return min(of/20, silence) }
