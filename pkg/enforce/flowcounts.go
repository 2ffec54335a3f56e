//go:build linux

package enforce

import (
	"maps"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// maxFlowCounts bounds the time series of netpol_flows_total that a node has.
// What begins when there are so many is counted together, by direction and
// verdicts, as kind Other at both ends.
const maxFlowCounts = 2000

// kindOther is the kind of the ends of flows that are counted together.
const kindOther flow.PeerKind = "Other"

// kindUnchecked is the kind of the source of what was refused before any policy
// was asked (policy.Closed): its address is a claim that nobody has checked (S31).
const kindUnchecked flow.PeerKind = "Unchecked"

// flowLabels are what connections are counted by for Prometheus: no addresses,
// and nothing that a peer can choose but the port.
type flowLabels struct {
	source, destination flowEnd
	protocol            policy.Protocol
	port                uint16
	direction           policy.Direction
	enforced, pending   policy.Action
}

// flowEnd is a workload, a node, a network set, or any other network.
type flowEnd struct {
	kind            flow.PeerKind
	namespace, name string
	workload        policy.Kind // of workloads: Deployment, …
}

// flowLabelNames are the labels of netpol_flows_total, in the order of values.
var flowLabelNames = []string{
	"direction", "verdict", "pending_verdict",
	"source_kind", "source_namespace", "source_workload", "source_workload_kind",
	"destination_kind", "destination_namespace", "destination_workload", "destination_workload_kind",
	"protocol", "port",
}

func (l *flowLabels) values() []string {
	port := ""
	if l.source.kind != kindOther && !l.protocol.HasTypes() {
		port = strconv.Itoa(int(l.port))
	}
	protocol := ""
	if l.source.kind != kindOther {
		protocol = l.protocol.String()
	}
	return []string{
		l.direction.String(), l.enforced.String(), l.pending.String(),
		string(l.source.kind), l.source.namespace, l.source.name, string(l.source.workload),
		string(l.destination.kind), l.destination.namespace, l.destination.name, string(l.destination.workload),
		protocol, port,
	}
}

// flowCounts are the connections that began since the agent did, and attempts
// that were refused. A nil one counts nothing.
type flowCounts struct {
	mu    sync.Mutex
	limit int
	by    map[flowLabels]*atomic.Uint64
	// denied of by: who tries many ports must not take the place of what is
	// allowed, so they are half of them at most.
	denied int
}

func newFlowCounts() *flowCounts {
	return &flowCounts{limit: maxFlowCounts, by: map[flowLabels]*atomic.Uint64{}}
}

// counter is what counts the connections of a key; nil if nothing does. Tests
// that netpol makes itself are not counted.
func (c *flowCounts) counter(k *flow.Key) *atomic.Uint64 {
	if c == nil || k.Probe {
		return nil
	}
	l := flowLabels{
		source: endOf(&k.Source), destination: endOf(&k.Destination),
		protocol: k.Protocol, port: k.Port, direction: k.Direction,
		enforced: k.Enforced.Action, pending: k.Pending.Action,
	}
	if k.Enforced.Rule == policy.Closed {
		l.source = flowEnd{kind: kindUnchecked}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n, ok := c.by[l]
	full := len(c.by) >= c.limit || l.enforced == policy.Deny && c.denied >= c.limit/2
	if !ok && full {
		other := flowEnd{kind: kindOther}
		l = flowLabels{source: other, destination: other, direction: l.direction, enforced: l.enforced, pending: l.pending}
		n, ok = c.by[l]
	}
	if !ok {
		n = new(atomic.Uint64)
		c.by[l] = n
		if l.enforced == policy.Deny {
			c.denied++
		}
	}
	return n
}

// counters are the counters of what is reported of a connection.
func (c *flowCounts) counters(records []attributed) []*atomic.Uint64 {
	if c == nil || len(records) == 0 {
		return nil
	}
	out := make([]*atomic.Uint64, len(records))
	for i := range records {
		out[i] = c.counter(&records[i].key)
	}
	return out
}

// count counts one connection.
func count(list []*atomic.Uint64) {
	for _, n := range list {
		if n != nil {
			n.Add(1)
		}
	}
}

// each calls f for every counter.
func (c *flowCounts) each(f func(l *flowLabels, n uint64)) {
	c.mu.Lock()
	by := maps.Clone(c.by)
	c.mu.Unlock()
	for l, n := range by {
		f(&l, n.Load())
	}
}

func endOf(p *flow.Peer) flowEnd {
	return flowEnd{p.Kind, p.Workload.Namespace, p.Workload.Name, p.Workload.Kind}
}
