// Package flow is what was seen: connections between workloads, counted.
package flow

import (
	"net/netip"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// PeerKind says what one end of a flow is.
type PeerKind string

// The kinds of peers.
const (
	PeerWorkload PeerKind = "Workload" // a pod, shown as its workload
	PeerHost     PeerKind = "Host"     // the node itself
	PeerNetwork  PeerKind = "Network"  // any other address
)

// Peer is one end of a flow. It is comparable.
type Peer struct {
	Kind PeerKind
	// Workload is set for PeerWorkload; for PeerHost Workload.Name is the node.
	Workload policy.Workload
	// Addr is set for PeerNetwork only, so that flows aggregate by workload.
	Addr netip.Addr
}

// Key is what connections are counted by. It is comparable.
type Key struct {
	Source      Peer
	Destination Peer
	// Service the connection was made to, before translation; zero if none.
	ServiceNamespace, ServiceName, ServicePortName string
	Protocol                                       policy.Protocol
	Port                                           uint16 // destination port after translation (ICMP: 0)
	// Direction says which end reports: Egress at the source, Ingress at the destination.
	Direction policy.Direction
	// Enforced decided; Pending would decide if all staged policies were enforced (S27).
	Enforced policy.Hit
	Pending  policy.Hit
	// Probe marks connections that netpol itself made to test.
	Probe bool
}

// Flow counts the connections of one Key in one span of time.
type Flow struct {
	Key
	// FirstSeen and LastSeen are of connection attempts, UTC.
	FirstSeen, LastSeen time.Time
	// Connections started; for denied ones attempts (retransmissions apart).
	Connections int64
	// Completed of those started; Live is how many are open at LastSeen.
	Completed, Live int64
	// Packets and Bytes by direction of travel from the reporter's view.
	PacketsIn, PacketsOut, BytesIn, BytesOut int64
	// SourceLabels and DestinationLabels are the labels shared by all pods that took part.
	SourceLabels, DestinationLabels map[string]string
}
