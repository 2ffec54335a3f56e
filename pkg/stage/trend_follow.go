package stage

import (
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/replay"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Follower counts for a report, flow by flow, what would be blocked in windows of
// time. It keeps sums alone, however many flows it is told of.
type Follower struct {
	report  *Report
	windows []Window
	find    func(*flow.Flow) *Item
	began   map[*Item][][2]int64 // by window and policy.Direction
	edges   []time.Time
	spread  []int64 // of one flow
}

// Follower makes one for windows of a report of m.
func (r *Report) Follower(m *tier.Model, windows []Window) *Follower {
	return &Follower{
		report: r, windows: windows, find: r.finder(m), began: map[*Item][][2]int64{}, edges: Edges(windows), spread: make([]int64, len(windows)),
	}
}

// Spread counts a flow in the windows that it was seen in (flow.Counts.Spread).
func (t *Follower) Spread(f *flow.Flow) {
	counts := f.Counts()
	if !counts.Touches(t.edges) {
		return
	}
	if began := t.of(f); began != nil {
		clear(t.spread)
		counts.Spread(t.edges, t.spread)
		add(began, f.Direction, t.spread)
	}
}

// Began counts a flow of which it is known how many connections began in each
// window; nil: none in any.
func (t *Follower) Began(f *flow.Flow, connections []int64) {
	if connections == nil {
		return
	}
	if began := t.of(f); began != nil {
		add(began, f.Direction, connections)
	}
}

func add(began [][2]int64, d policy.Direction, connections []int64) {
	for w, n := range connections {
		began[w][d] += n
	}
}

// of is what the item of a flow counts by window; nil if it would not be blocked.
func (t *Follower) of(f *flow.Flow) [][2]int64 {
	if f.Enforced.Rule == policy.Closed {
		return nil // as in flow.Merge
	}
	it := t.find(f)
	if it == nil {
		return nil
	}
	if t.began[it] == nil {
		t.began[it] = make([][2]int64, len(t.windows))
	}
	return t.began[it]
}

// Trend adds what was counted to the report's items, and is the trend as a
// whole; nil if there are no windows. Connections that both ends report count once.
func (t *Follower) Trend(changed time.Time) *Trend {
	if len(t.windows) == 0 {
		return nil
	}
	first, last := t.windows[0], t.windows[len(t.windows)-1]
	out := &Trend{
		From: first.From, To: last.To, StepSeconds: int64(first.To.Sub(first.From) / time.Second),
		Connections: make([]int64, len(t.windows)),
	}
	if at := changed.UTC().Truncate(time.Second); !changed.Before(first.From) && changed.Before(last.To) {
		out.Changed = &at
	}
	for i := range t.report.Items {
		it := &t.report.Items[i]
		it.Trend = make([]int64, len(t.windows))
		for w, n := range t.began[it] {
			it.Trend[w] = max(n[0], n[1])
			out.Connections[w] += it.Trend[w]
		}
		if out.LastSeen == nil || it.LastSeen.After(*out.LastSeen) {
			out.LastSeen = &it.LastSeen
		}
		out.Happening = out.Happening || it.Live > 0 || !it.LastSeen.Before(last.From)
	}
	return out
}

// Follow adds a trend to a report of m: to its items, and as a whole.
func (r *Report) Follow(m *tier.Model, windows []Window, changed time.Time) *Trend {
	t := r.Follower(m, windows)
	for w := range windows {
		for i := range windows[w].Flows {
			f := &windows[w].Flows[i]
			if began := t.of(f); began != nil {
				began[w][f.Direction] += f.Connections
			}
		}
	}
	return t.Trend(changed)
}

// itemKey is what tells the flows of a report apart.
type itemKey struct {
	source, destination Peer
	port                string
}

func (i *Item) key() itemKey { return itemKey{i.Source, i.Destination, i.Port.Text()} }

// mostKinds bounds the kinds of flows that a finder remembers.
const mostKinds = 1 << 14

// finder finds the item of a flow, nil if it would not be blocked. It remembers
// kinds of flows, since windows have much the same ones.
func (r *Report) finder(m *tier.Model) func(*flow.Flow) *Item {
	type kind struct {
		source, destination flow.Peer
		protocol            policy.Protocol
		port                uint16
	}
	rp := replay.New(m)
	byKey, known := make(map[itemKey]*Item, len(r.Items)), map[kind]*Item{}
	for i := range r.Items {
		byKey[r.Items[i].key()] = &r.Items[i]
	}
	return func(f *flow.Flow) *Item {
		k := kind{f.Source, f.Destination, f.Protocol, f.Port}
		it, ok := known[k]
		if !ok {
			if len(known) >= mostKinds {
				clear(known)
			}
			it = byKey[itemKey{NewPeer(rp.Named(f.Source)), NewPeer(rp.Named(f.Destination)), flow.NewPort(f.Protocol, f.Port).Text()}]
			known[k] = it
		}
		return it
	}
}
