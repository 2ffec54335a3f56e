package stage

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// Open is a connection that is open.
type Open struct {
	Source, Destination flow.Peer
	Protocol            policy.Protocol
	// From is the client's address and port, To the destination's after
	// translation; ports of ICMP are the identifier and the policy.ICMPPort.
	From, To netip.AddrPort
	// Since it is open, or, with AtLeast, since when it is known to be.
	Since   time.Time
	AtLeast bool
}

// Cut is an open connection that would be cut (S29). Its JSON is a contract.
type Cut struct {
	Source      Peer `json:"source"`
	Destination Peer `json:"destination"`
	flow.Port
	SourceAddress      string    `json:"sourceAddress"`
	SourcePort         uint16    `json:"sourcePort"`
	DestinationAddress string    `json:"destinationAddress"`
	Since              time.Time `json:"since"`
	// AtLeast: it was open before anybody looked, so it is older than Since
	// says.
	AtLeast       bool         `json:"atLeast"`
	Direction     string       `json:"direction"`
	BlockedBy     *By          `json:"blockedBy"`
	AlsoBlockedBy *ByDirection `json:"alsoBlockedBy,omitempty"`
	Reason        string       `json:"reason"`
}

// Cuts are those of the connections that the enforced policies allow and the
// scope's would not, the oldest first. A connection that the agents of both ends
// tell of counts once.
func Cuts(m *tier.Model, open []Open, scope tier.Scope) []Cut {
	type tuple struct {
		protocol policy.Protocol
		from, to netip.AddrPort
	}
	at := map[tuple]int{}
	out := []Cut{}
	for i := range open {
		o := &open[i]
		k := tuple{o.Protocol, o.From, o.To}
		if j, again := at[k]; again {
			out[j].older(o)
			continue
		}
		hits := Cutting(m, o, scope)
		if hits == ([2]*policy.Hit{}) {
			continue
		}
		at[k] = len(out)
		out = append(out, newCut(o, hits))
	}
	slices.SortStableFunc(out, func(a, b Cut) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Source.String(), b.Source.String()),
			cmp.Compare(a.Destination.String(), b.Destination.String()), cmp.Compare(a.Text(), b.Text()),
			cmp.Compare(a.SourceAddress, b.SourceAddress), cmp.Compare(a.SourcePort, b.SourcePort))
	})
	return out
}

// Cutting is what of a scope would cut an open connection, by policy.Direction;
// both nil if nothing would, or if the enforced policies do already.
func Cutting(m *tier.Model, o *Open, scope tier.Scope) [2]*policy.Hit {
	now := refusals(m, o, tier.Enforced())
	if now != ([2]*policy.Hit{}) {
		return [2]*policy.Hit{}
	}
	return refusals(m, o, scope)
}

// refusals judges both ends (S10). A pod reaches itself (S32), and its own host
// reaches it (S12).
func refusals(m *tier.Model, o *Open, scope tier.Scope) (out [2]*policy.Hit) {
	src, dst := m.Peer(o.From.Addr()), m.Peer(o.To.Addr())
	if src.Endpoint != nil && src.Endpoint == dst.Endpoint {
		return out
	}
	src.Port = o.From.Port()
	if src.Endpoint != nil {
		if v := m.Judge(scope, policy.Egress, src, dst, o.Protocol, o.To.Port()); v.Action == policy.Deny {
			out[policy.Egress] = &v.By
		}
	}
	if dst.Endpoint != nil && !fromOwnHost(o, dst.Endpoint) {
		if v := m.Judge(scope, policy.Ingress, dst, src, o.Protocol, o.To.Port()); v.Action == policy.Deny {
			out[policy.Ingress] = &v.By
		}
	}
	return out
}

// fromOwnHost: agents tell their own host by its name alone, and other nodes
// with their address.
func fromOwnHost(o *Open, dst *policy.Endpoint) bool {
	return o.Source.Kind == flow.PeerHost && (o.Source.Workload.Name == dst.Node || dst.Node == "")
}

func newCut(o *Open, hits [2]*policy.Hit) Cut {
	out := Cut{
		Source: NewPeer(o.Source), Destination: NewPeer(o.Destination), Port: flow.NewPort(o.Protocol, o.To.Port()),
		SourceAddress: o.From.Addr().String(), SourcePort: o.From.Port(), DestinationAddress: o.To.Addr().String(),
		Since: o.Since.UTC().Truncate(time.Second), AtLeast: o.AtLeast,
	}
	var it Item
	it.blame(hits)
	out.Direction, out.BlockedBy, out.AlsoBlockedBy, out.Reason = it.Direction, it.BlockedBy, it.AlsoBlockedBy, it.Reason
	return out
}

// older takes the earlier of two beginnings: both ends tell of one connection,
// and the one that knows when it began is right.
func (c *Cut) older(o *Open) {
	since := o.Since.UTC().Truncate(time.Second)
	if c.AtLeast && !o.AtLeast || c.AtLeast == o.AtLeast && since.Before(c.Since) {
		c.Since, c.AtLeast = since, o.AtLeast
	}
}

// LiveCounts is how many open connections of the report's flows would be cut, by
// the flows' own counts: for sources of flows that do not know each connection.
func (r *Report) LiveCounts() int64 {
	var n int64
	for i := range r.Items {
		n += r.Items[i].Live
	}
	return n
}
