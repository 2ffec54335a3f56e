//go:build linux

package enforce

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// liveConn is a connection that is open, as the agent reported it.
type liveConn struct {
	id      uint32 // conntrack's
	zone    uint16
	srcPort uint16
	at      int32  // its place among the live ones, gone if it ended
	began   moment // an entry has to stay at 32 bytes
	shape   *tuple // all but the source port, which many connections share
	// said is what was said of it; many connections share it, so it is replaced
	// and not changed.
	said *said
}

// gone is the place of a connection that has ended.
const gone = -1

func (c *liveConn) tuple() tuple {
	t := *c.shape
	t.srcPort = c.srcPort
	return t
}

// said is what is said of connections.
type said struct {
	// reports has one for each end that this node judges.
	reports []*flow.Handle
	// counts count the beginning of each.
	counts []*atomic.Uint64
	// The pods at the ends, zero where there is none: a connection whose end has
	// become another pod, or none, is not judged again.
	from, to podRef
}

// podRef tells pods apart, also one that was made anew under the same name, as
// a StatefulSet's.
type podRef struct {
	name    string
	created int64
}

func refOf(ep *policy.Endpoint) podRef {
	if ep == nil {
		return podRef{}
	}
	return podRef{ep.ID(), ep.Created}
}

// entry names the connection to conntrack.
func (c *liveConn) entry() *collect.Connection {
	t := c.tuple()
	out := &collect.Connection{ID: c.id, Zone: c.zone, Protocol: uint8(t.protocol)}
	out.Original = collect.Tuple{Src: t.src, Dst: t.dst}
	if t.dialled.IsValid() {
		out.Original.Dst = t.dialled.Addr()
	}
	if t.icmp() {
		out.ICMPID = t.srcPort
		out.ICMPType, out.ICMPCode = policy.ICMPTypeCode(t.dstPort)
		return out
	}
	out.Original.SrcPort, out.Original.DstPort = t.srcPort, t.dstPort
	if t.dialled.IsValid() {
		out.Original.DstPort = t.dialled.Port()
	}
	return out
}

// live is the connections that are open now. Keys are kept once each, since
// many connections share one.
//
// The collecting goroutine holds it from the first to the last of the events
// that it has at hand, and tells the flows of all of them before it lets go:
// nothing can be judged again that the flows do not know, and what begins is
// among the live ones before a newer model than that it was reported by is asked
// about them.
type live struct {
	mu   sync.Mutex
	open []*liveConn
	keys map[flow.Key]*flow.Handle
}

func newLive() *live { return &live{keys: map[flow.Key]*flow.Handle{}} }

// maxLiveKeys bounds the keys that are kept for sharing; past it sharing
// starts over, which costs memory and nothing else.
const maxLiveKeys = 50_000

func (l *live) share(k flow.Key) *flow.Handle {
	if p, ok := l.keys[k]; ok {
		return p
	}
	if len(l.keys) >= maxLiveKeys {
		clear(l.keys)
	}
	p := flow.NewHandle(k)
	l.keys[k] = p
	return p
}

// shared are the records' keys. The caller holds l.
func (l *live) shared(records []attributed) []*flow.Handle {
	keys := make([]*flow.Handle, len(records))
	for i := range records {
		keys[i] = l.share(records[i].key)
	}
	return keys
}

// add remembers a connection. The caller holds l.
func (l *live) add(c *liveConn) {
	c.at = int32(len(l.open)) //nolint:gosec // conntrack holds fewer
	l.open = append(l.open, c)
}

// remove forgets a connection that ended. The caller holds l.
func (l *live) remove(c *liveConn) {
	end := len(l.open) - 1
	last := l.open[end]
	l.open[c.at], l.open[end] = last, nil
	l.open = l.open[:end]
	last.at, c.at = c.at, gone
}

// pods are the pods that a connection began between, given who has the
// addresses now (zero is nobody). An end that was nobody's is taken for the first
// pod that has its address: pods may be told of later than they speak.
func (l *live) pods(c *liveConn, fromNow, toNow podRef) (from, to podRef) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, to = cmp.Or(c.said.from, fromNow), cmp.Or(c.said.to, toNow)
	if from != c.said.from || to != c.said.to {
		c.said = &said{c.said.reports, c.said.counts, from, to}
	}
	return from, to
}

// count is how many there are.
func (l *live) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// list is a copy of the list; the entries are shared.
func (l *live) list() []*liveConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.open)
}

// update replaces what is reported of a connection, if it is still open, and
// calls moved for each report that changed, while no end can be told.
func (l *live) update(c *liveConn, records []attributed, moved func(before, after *flow.Key, ends flow.Ends)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.at == gone {
		return
	}
	for i := range c.said.reports {
		before := c.said.reports[i].Key()
		j := slices.IndexFunc(records, func(r attributed) bool { return r.key.Direction == before.Direction })
		if j < 0 {
			continue
		}
		// A probe stays one, also after its registration has run out.
		records[j].key.Probe = before.Probe
		after := l.share(records[j].key)
		if *after.Key() != *before {
			now := *c.said
			now.reports = slices.Clone(now.reports)
			now.reports[i] = after
			c.said = &now
			moved(before, after.Key(), records[j].ends)
		}
	}
}
