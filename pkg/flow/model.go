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
	// PeerNetworkSet is any other address that a network set holds; of several
	// the most specific names it (S18).
	PeerNetworkSet PeerKind = "NetworkSet"
)

// Peer is one end of a flow. It is comparable.
type Peer struct {
	Kind PeerKind
	// Workload is set for PeerWorkload; for PeerHost Workload.Name is the node,
	// for PeerNetworkSet Workload has the set's namespace (none for a global
	// one) and name.
	Workload policy.Workload
	// Addr is set for PeerNetwork and PeerNetworkSet only, so that flows
	// aggregate by workload.
	Addr netip.Addr
}

// Key is what connections are counted by. It is comparable.
type Key struct {
	Source      Peer
	Destination Peer
	// Service the connection was made to, before translation; zero if none.
	ServiceNamespace, ServiceName, ServicePortName string
	Protocol                                       policy.Protocol
	// Port is the destination's after translation; of ICMP and ICMPv6 the
	// policy.ICMPPort, 0 where the source of flows does not tell (an echo reply,
	// which that would be, never begins a connection).
	Port uint16
	// Direction says which end reports: Egress at the source, Ingress at the destination.
	Direction policy.Direction
	// Enforced decided; Pending would decide if all staged policies were enforced (S27).
	Enforced policy.Hit
	Pending  policy.Hit
	// Logs are the enforced Log rules that were passed on the way (S7).
	Logs Logs
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
	// Refused are pods of the source that were refused, the latest first, at most
	// MaxRefused, where the source of flows tells pods apart (agents do, as long as
	// they run). There may be more.
	Refused []RefusedPod
	// Domains are the DNS names by which the source found an address outside, as
	// Domains makes them, where the source of flows tells them (Cilium does). They
	// are evidence for people: no verdict depends on them.
	Domains []string
	// EnforcedTrace and PendingTrace are every hit on the way to Enforced and
	// Pending, in order, where the source of flows tells them (Calico does).
	EnforcedTrace, PendingTrace []Step
}

// RefusedPod is a pod of a flow's source that was refused.
type RefusedPod struct {
	Name string // in the workload's namespace
	Last time.Time
}

// Step is a hit of a trace, with the place that its policy has among those that
// were asked, of all tiers, from 0.
type Step struct {
	policy.Hit
	Index int
}
