package flow

import (
	"time"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// CoverageToWire is a coverage as flows.proto has it.
func CoverageToWire(c Coverage) *flowpb.Coverage {
	w := &flowpb.Coverage{
		FromNanos: nanos(c.From), ToNanos: nanos(c.To),
		Lost: c.Lost, LostUnknown: c.LostUnknown, Evicted: c.Evicted, Restricted: c.Restricted,
	}
	for _, n := range c.Nodes {
		w.Nodes = append(w.Nodes, &flowpb.NodeCoverage{
			Node: n.Node, FromNanos: nanos(n.From), ToNanos: nanos(n.To), Gaps: GapsToWire(n.Gaps), Lost: n.Lost, LostUnknown: n.LostUnknown,
		})
	}
	for _, p := range c.Policies {
		w.Policies = append(w.Policies, &flowpb.PolicySince{
			Kind: string(p.Key.Kind), Namespace: p.Key.Namespace, Name: p.Key.Name, SinceNanos: nanos(p.Since),
		})
	}
	return w
}

// CoverageFromWire reads a coverage.
func CoverageFromWire(w *flowpb.Coverage) Coverage {
	c := Coverage{
		From: moment0(w.GetFromNanos()), To: moment0(w.GetToNanos()),
		Lost: w.GetLost(), LostUnknown: w.GetLostUnknown(), Evicted: w.GetEvicted(), Restricted: w.GetRestricted(),
	}
	for _, n := range w.GetNodes() {
		c.Nodes = append(c.Nodes, NodeCoverage{
			Node: n.GetNode(), From: moment0(n.GetFromNanos()), To: moment0(n.GetToNanos()),
			Gaps: GapsFromWire(n.GetGaps()), Lost: n.GetLost(), LostUnknown: n.GetLostUnknown(),
		})
	}
	for _, p := range w.GetPolicies() {
		key := policy.Key{Kind: policy.Kind(p.GetKind()), Namespace: p.GetNamespace(), Name: p.GetName()}
		c.Policies = append(c.Policies, PolicySince{Key: key, Since: moment0(p.GetSinceNanos())})
	}
	return c
}

// GapsToWire are gaps as flows.proto has them.
func GapsToWire(gaps []Gap) []*flowpb.Gap {
	var out []*flowpb.Gap
	for _, g := range gaps {
		out = append(out, &flowpb.Gap{FromNanos: nanos(g.From), ToNanos: nanos(g.To)})
	}
	return out
}

// GapsFromWire reads gaps.
func GapsFromWire(w []*flowpb.Gap) []Gap {
	var out []Gap
	for _, g := range w {
		out = append(out, Gap{From: moment0(g.GetFromNanos()), To: moment0(g.GetToNanos())})
	}
	return out
}

// moment0 is the moment of so many Unix nanoseconds; 0 is the zero time.
func moment0(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
