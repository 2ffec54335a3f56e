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
	name  collect.Name
	id    uint32 // conntrack's
	zone  uint16
	tuple tuple
	// said is what was said of it; many connections share it, so it is replaced
	// and not changed.
	said *said
}

// said is what is said of connections.
type said struct {
	// reports has one for each end that this node judges.
	reports []*flow.Handle
	// counts count the beginning of each.
	counts []*atomic.Uint64
	// Names of the pods at the ends, "" where there is none: a connection
	// whose end has become another pod, or none, is not judged again.
	from, to string
}

// entry names the connection to conntrack.
func (c *liveConn) entry() *collect.Connection {
	t := &c.tuple
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

// live is the connections that are open now, by what conntrack calls them.
// Keys are kept once each, since many connections share one.
type live struct {
	mu   sync.Mutex
	open map[collect.Name]*liveConn
	keys map[flow.Key]*flow.Handle
}

func newLive() *live {
	return &live{open: map[collect.Name]*liveConn{}, keys: map[flow.Key]*flow.Handle{}}
}

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

// shared are the records' keys.
func (l *live) shared(records []attributed) []*flow.Handle {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := make([]*flow.Handle, len(records))
	for i := range records {
		keys[i] = l.share(records[i].key)
	}
	return keys
}

// add remembers a connection and calls tell while it can't be judged again nor
// end, since its reports can be moved or ended only when they were made; false
// if it is known already (the kernel told of it twice).
func (l *live) add(c *liveConn, tell func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.open[c.name]; ok {
		return false
	}
	l.open[c.name] = c
	tell()
	return true
}

// remove forgets a connection that ended and returns what was reported of it.
func (l *live) remove(n collect.Name) (reports []*flow.Handle, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.open[n]
	if !ok {
		return nil, false
	}
	delete(l.open, n)
	return c.said.reports, true
}

// pods names the pods that a connection began between, given who has the
// addresses now ("" is nobody). An end that was nobody's is taken for the first
// pod that has its address: pods may be told of later than they speak.
func (l *live) pods(c *liveConn, fromNow, toNow string) (from, to string) {
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
	out := make([]*liveConn, 0, len(l.open))
	for _, c := range l.open {
		out = append(out, c)
	}
	return out
}

// update replaces what is reported of a connection, if it is still open, and
// calls moved for each report that changed, while no end can be told.
func (l *live) update(c *liveConn, records []attributed, moved func(before, after *flow.Key, ends flow.Ends)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[c.name] != c {
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
