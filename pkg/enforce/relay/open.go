package relay

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/agentpb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// MaxOpen bounds the open connections that one answer lists.
const MaxOpen = 1000

// OpenToWire is an open connection as agent.proto has it.
func OpenToWire(o *stage.Open) *agentpb.OpenConnection {
	key := flow.KeyToWire(flow.Key{Source: o.Source, Destination: o.Destination, Protocol: o.Protocol, Port: o.To.Port()})
	key.Policies = nil
	return &agentpb.OpenConnection{
		Key: key, SourceAddress: o.From.Addr().String(), SourcePort: uint32(o.From.Port()),
		DestinationAddress: o.To.Addr().String(), SinceNanos: o.Since.UnixNano(), AtLeast: o.AtLeast,
	}
}

// OpenFromWire reads what an agent or a flows server says, and refuses what
// neither does.
func OpenFromWire(w *agentpb.OpenConnection) (o stage.Open, err error) {
	if err := checkKey(w.GetKey()); err != nil {
		return o, err
	}
	from, err := netip.ParseAddr(w.GetSourceAddress())
	if err != nil {
		return o, fmt.Errorf("source: %w", err)
	}
	to, err := netip.ParseAddr(w.GetDestinationAddress())
	if err != nil {
		return o, fmt.Errorf("destination: %w", err)
	}
	if w.GetSourcePort() > 65535 {
		return o, fmt.Errorf("%d is no port", w.GetSourcePort())
	}
	k := flow.KeyFromWire(w.GetKey())
	return stage.Open{
		Source: k.Source, Destination: k.Destination, Protocol: k.Protocol,
		From: netip.AddrPortFrom(from.Unmap(), uint16(w.GetSourcePort())), To: netip.AddrPortFrom(to.Unmap(), k.Port),
		Since: time.Unix(0, w.GetSinceNanos()).UTC(), AtLeast: w.GetAtLeast(),
	}, nil
}

// StagedOf is the staged policy that a request names; ok is false where it means
// all of them.
func StagedOf(r *agentpb.WouldCutRequest) (key policy.Key, ok bool) {
	return policy.Key{Kind: policy.Kind(r.GetKind()), Namespace: r.GetNamespace(), Name: r.GetName()}, r.GetName() != ""
}

// Limit is how many connections a request wants to have listed.
func Limit(r *agentpb.WouldCutRequest) int {
	if n := int(r.GetLimit()); n > 0 && n < MaxOpen {
		return n
	}
	return MaxOpen
}
