//go:build linux

package enforce

import (
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// gathering is what the collecting goroutine knows of the events that it has at
// hand. While there are any it holds the live connections.
type gathering struct {
	holds bool
	at    time.Time // when they were read
	// model is the only one in force then, or nil. One that is begun since can't
	// have judged them, and what it makes of live connections comes afterwards.
	model *tier.Model
	flows flow.Batch
}

// gather begins with the first of some events.
func (a *Agent) gather(at time.Time) *gathering {
	g := &a.gathering
	if g.holds && g.at.Equal(at) {
		return g
	}
	a.connectionsTold()
	a.live.mu.Lock()
	g.holds, g.at = true, at
	g.model = a.settled(at)
	return g
}

// connectionsTold tells the flows of the events since the last time, and lets
// go of the live connections.
func (a *Agent) connectionsTold() {
	g := &a.gathering
	if !g.holds {
		return
	}
	a.flows.Add(&g.flows, g.at)
	g.holds = false
	a.live.mu.Unlock()
}

// connection takes an event of conntrack: everything in it was allowed by
// every hook that it passed.
func (a *Agent) connection(e *collect.Event) {
	g := a.gather(e.At)
	if e.Kind == collect.Ended {
		if c, ok := e.Keep.(*liveConn); ok {
			a.live.remove(c)
			g.ended(c, e)
		}
		return
	}
	t := tupleOf(&e.Connection)
	known := a.known(&t, g)
	doubt := known == nil
	if doubt {
		known = a.report(&t, e.At)
	}
	if len(known.records) == 0 {
		return // neither end is a pod of this node
	}
	c := &liveConn{id: e.ID, zone: e.Zone, srcPort: t.srcPort, began: beganAt(e), shape: known.shape, said: known.said}
	e.Keep = c
	a.live.add(c)
	for i := range known.records {
		if e.Old {
			g.flows.Existing(c.said.reports[i], known.records[i].ends)
		} else {
			g.flows.Started(c.said.reports[i], known.records[i].ends)
		}
	}
	if !e.Old {
		count(known.said.counts)
	}
	// It may have begun under a policy that has been replaced since, while it
	// was not yet among the live ones that were judged again then.
	if doubt && a.denies(&t) {
		a.judgeAgain()
	}
	for i := range known.records {
		if rec := &known.records[i]; !rec.agreed && !e.Old && !e.Unheard && !t.vague() {
			a.disagree("the kernel allowed what the model denies", &t, rec.key.Direction, rec.key.Enforced)
		}
	}
}

// known is what is reported of connections like this one, nil if it has to be
// found out for this one alone.
func (a *Agent) known(t *tuple, g *gathering) *alike {
	known, in := a.recall(t, g.at, g.model)
	if known == nil && in != nil {
		known = a.learn(t, in)
	}
	return known
}

// ended counts the end of a connection at each end that reported it.
func (g *gathering) ended(c *liveConn, e *collect.Event) {
	for _, h := range c.said.reports {
		n := flow.Counters{
			PacketsOut: int64(e.Sent.Packets), BytesOut: int64(e.Sent.Bytes),
			PacketsIn: int64(e.Received.Packets), BytesIn: int64(e.Received.Bytes),
		}
		if h.Key().Direction == policy.Ingress { // seen from the other end
			n.PacketsIn, n.PacketsOut, n.BytesIn, n.BytesOut = n.PacketsOut, n.PacketsIn, n.BytesOut, n.BytesIn
		}
		g.flows.Ended(h, n)
	}
}
