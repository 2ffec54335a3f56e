package flow

import (
	"cmp"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Compare orders keys: by source, destination, protocol, port, direction,
// service, probe and then by what decided. It is 0 only for equal keys.
func Compare(a, b Key) int {
	return cmp.Or(
		ComparePeers(a.Source, b.Source),
		ComparePeers(a.Destination, b.Destination),
		cmp.Compare(a.Protocol, b.Protocol),
		cmp.Compare(a.Port, b.Port),
		cmp.Compare(b.Direction, a.Direction), // the source's end first
		strings.Compare(a.ServiceNamespace, b.ServiceNamespace),
		strings.Compare(a.ServiceName, b.ServiceName),
		strings.Compare(a.ServicePortName, b.ServicePortName),
		compareBool(a.Probe, b.Probe),
		compareHits(a.Enforced, b.Enforced),
		compareHits(a.Pending, b.Pending),
		strings.Compare(string(a.Logs), string(b.Logs)),
	)
}

// ComparePeers orders peers: workloads first, by namespace, name and kind,
// then hosts by name, then network sets by name and address, then networks by
// address.
func ComparePeers(a, b Peer) int {
	return cmp.Or(
		cmp.Compare(peerRank(a.Kind), peerRank(b.Kind)),
		strings.Compare(a.Workload.Namespace, b.Workload.Namespace),
		strings.Compare(a.Workload.Name, b.Workload.Name),
		strings.Compare(string(a.Workload.Kind), string(b.Workload.Kind)),
		a.Addr.Compare(b.Addr),
		strings.Compare(string(a.Kind), string(b.Kind)),
	)
}

func peerRank(k PeerKind) int {
	switch k {
	case PeerWorkload:
		return 0
	case PeerHost:
		return 1
	case PeerNetworkSet:
		return 2
	}
	return 3
}

func compareHits(a, b policy.Hit) int {
	return cmp.Or(
		strings.Compare(a.Tier, b.Tier),
		strings.Compare(string(a.Policy.Kind), string(b.Policy.Kind)),
		strings.Compare(a.Policy.Namespace, b.Policy.Namespace),
		strings.Compare(a.Policy.Name, b.Policy.Name),
		cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.Action, b.Action),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// String is the peer as people read it: namespace/workload, the node's name, a
// network set's name with the address, or the address.
func (p Peer) String() string {
	switch {
	case p.Kind == PeerWorkload:
		return p.Workload.String()
	case p.Kind == PeerHost && p.Workload.Name != "":
		return p.Workload.Name
	case p.Kind == PeerNetworkSet && p.Workload.Name != "":
		if !p.Addr.IsValid() {
			return p.SetName()
		}
		return p.SetName() + " (" + p.Addr.String() + ")"
	case p.Addr.IsValid():
		return p.Addr.String()
	}
	return strings.ToLower(string(p.Kind))
}

// SetName is the name of a PeerNetworkSet: namespace/name, or the name of a
// global one.
func (p Peer) SetName() string {
	if p.Workload.Namespace == "" {
		return p.Workload.Name
	}
	return p.Workload.String()
}

// ServiceString is namespace/name of the Service that the connection was made
// to, empty if there was none.
func (k Key) ServiceString() string {
	if k.ServiceName == "" {
		return ""
	}
	return k.ServiceNamespace + "/" + k.ServiceName
}
