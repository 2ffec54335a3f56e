//go:build linux

package enforce

import (
	"net/netip"

	"github.com/netpol-project/netpol/pkg/enforce/collect"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// refused takes a packet that the kernel refused.
func (a *Agent) refused(d *collect.Denied, first bool) {
	id, ok := ruleset.ParseLogPrefix(d.Prefix)
	if !ok {
		return
	}
	t := tupleOfPacket(&d.Packet)
	hit, dir, known := a.history.hitOf(id)
	if !known {
		var name string
		if name, dir, ok = ruleset.Reserved(id); !ok {
			return
		}
		hit = policy.Hit{Policy: policy.Key{Name: name}, Rule: policy.Closed, Action: policy.Deny}
	}
	rec, ok := a.attributeDenied(&t, d.Time, dir, hit)
	if !ok {
		return
	}
	n := flow.Counters{PacketsOut: 1}
	if dir == policy.Ingress {
		n = flow.Counters{PacketsIn: 1}
	}
	if first || rec.key.Probe { // a probe may have the port of one before
		a.refusals.add(t.source(), refusal{at: d.Time, port: t.dstPort, direction: dir, hit: hit})
	}
	if !first {
		a.flows.Again(rec.key, n, d.Time)
		return
	}
	if known && !rec.agreed && !d.Short && !t.vague() {
		a.disagree("the kernel denied by another decision than the model", &t, dir, hit)
	}
	a.flows.Denied(rec.key, rec.ends, n, d.Time)
	if c := a.counts.counter(&rec.key); c != nil {
		c.Add(1)
	}
}

// disagree counts a difference between the kernel and the model, which is a
// fault in netpol.
func (a *Agent) disagree(what string, t *tuple, dir policy.Direction, hit policy.Hit) {
	a.counters.disagreements.Add(1)
	if !a.complaints.Allow() {
		return // a workload that can make them must not fill the log
	}
	a.opts.Log.Error(what, "direction", dir.String(), "protocol", t.protocol.String(),
		"source", netip.AddrPortFrom(t.src, t.srcPort).String(),
		"destination", netip.AddrPortFrom(t.dst, t.dstPort).String(),
		"tier", hit.Tier, "policy", hit.Policy.String(), "rule", hit.Rule)
}
