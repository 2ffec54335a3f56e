package flow

import (
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/flow/flowpb"
	"github.com/netpol-project/netpol/pkg/policy"
)

// none is how Goldmane writes an empty name.
const none = "-"

// ToWire is the flow as flows.proto has it.
func ToWire(f Flow) *flowpb.Flow {
	return &flowpb.Flow{
		Key:                     KeyToWire(f.Key),
		StartTime:               f.FirstSeen.Unix(),
		EndTime:                 f.LastSeen.Unix() + 1, // exclusive
		SourceLabels:            LabelsToWire(f.SourceLabels),
		DestLabels:              LabelsToWire(f.DestinationLabels),
		PacketsIn:               f.PacketsIn,
		PacketsOut:              f.PacketsOut,
		BytesIn:                 f.BytesIn,
		BytesOut:                f.BytesOut,
		NumConnectionsStarted:   f.Connections,
		NumConnectionsCompleted: f.Completed,
		NumConnectionsLive:      f.Live,
		FirstSeenNanos:          f.FirstSeen.UnixNano(),
		LastSeenNanos:           f.LastSeen.UnixNano(),
		Refused:                 RefusedToWire(f.Refused),
	}
}

// FromWire reads a flow, netpol's own or Goldmane's. What Goldmane does not
// tell stays empty: the workload's kind, the address of a network, the type of
// ICMP, Log rules, and whether a flow is a probe. Its times are the borders of
// its windows.
func FromWire(w *flowpb.Flow) Flow {
	f := Flow{
		Key:               KeyFromWire(w.GetKey()),
		FirstSeen:         time.Unix(w.GetStartTime(), 0).UTC(),
		LastSeen:          time.Unix(w.GetEndTime(), 0).UTC(),
		Connections:       w.GetNumConnectionsStarted(),
		Completed:         w.GetNumConnectionsCompleted(),
		Live:              w.GetNumConnectionsLive(),
		PacketsIn:         w.GetPacketsIn(),
		PacketsOut:        w.GetPacketsOut(),
		BytesIn:           w.GetBytesIn(),
		BytesOut:          w.GetBytesOut(),
		SourceLabels:      LabelsFromWire(w.GetSourceLabels()),
		DestinationLabels: LabelsFromWire(w.GetDestLabels()),
		Refused:           RefusedFromWire(w.GetRefused()),
	}
	if n := w.GetFirstSeenNanos(); n != 0 {
		f.FirstSeen = time.Unix(0, n).UTC()
	}
	if n := w.GetLastSeenNanos(); n != 0 {
		f.LastSeen = time.Unix(0, n).UTC()
	}
	return f
}

// KeyToWire is a key as flows.proto has it.
func KeyToWire(k Key) *flowpb.FlowKey {
	w := &flowpb.FlowKey{
		DestPort:             int64(k.Port),
		DestServiceName:      orNone(k.ServiceName),
		DestServiceNamespace: orNone(k.ServiceNamespace),
		DestServicePortName:  orNone(k.ServicePortName),
		Proto:                strings.ToLower(k.Protocol.String()),
		Reporter:             flowpb.Reporter_Src,
		Action:               actionToWire(k.Enforced.Action),
		Policies: &flowpb.PolicyTrace{
			EnforcedPolicies: append(logsToWire(k.Logs), hitToWire(k.Enforced, k.reporter())),
			PendingPolicies:  []*flowpb.PolicyHit{hitToWire(k.Pending, k.reporter())},
		},
		Probe: k.Probe,
	}
	if k.Direction == policy.Ingress {
		w.Reporter = flowpb.Reporter_Dst
	}
	w.SourceName, w.SourceNamespace, w.SourceType = peerToWire(k.Source)
	w.SourceWorkloadKind, w.SourceAddress = peerExtras(k.Source)
	w.DestName, w.DestNamespace, w.DestType = peerToWire(k.Destination)
	w.DestWorkloadKind, w.DestAddress = peerExtras(k.Destination)
	return w
}

// reporter is the end whose policies were asked.
func (k Key) reporter() Peer {
	if k.Direction == policy.Ingress {
		return k.Destination
	}
	return k.Source
}

// KeyFromWire reads a key, as FromWire does.
func KeyFromWire(w *flowpb.FlowKey) Key {
	k := Key{
		ServiceName:      fromNone(w.GetDestServiceName()),
		ServiceNamespace: fromNone(w.GetDestServiceNamespace()),
		ServicePortName:  fromNone(w.GetDestServicePortName()),
		Protocol:         protocolFromWire(w.GetProto()),
		Port:             uint16(min(max(w.GetDestPort(), 0), 65535)), //nolint:gosec // bounded
		Direction:        policy.Egress,
		Enforced:         hitFromWire(w.GetPolicies().GetEnforcedPolicies()),
		Pending:          hitFromWire(w.GetPolicies().GetPendingPolicies()),
		Probe:            w.GetProbe(),
		Logs:             logsFromWire(w.GetPolicies().GetEnforcedPolicies()),
	}
	if w.GetReporter() == flowpb.Reporter_Dst {
		k.Direction = policy.Ingress
	}
	if a := actionFromWire(w.GetAction()); a != 0 {
		k.Enforced.Action = a
	}
	k.Source = peerFromWire(w.GetSourceType(), w.GetSourceNamespace(), w.GetSourceName(), w.GetSourceWorkloadKind(), w.GetSourceAddress())
	k.Destination = peerFromWire(w.GetDestType(), w.GetDestNamespace(), w.GetDestName(), w.GetDestWorkloadKind(), w.GetDestAddress())
	return k
}

func peerToWire(p Peer) (name, namespace string, kind flowpb.EndpointType) {
	switch p.Kind {
	case PeerWorkload:
		return orNone(p.Workload.Name), orNone(p.Workload.Namespace), flowpb.EndpointType_WorkloadEndpoint
	case PeerHost:
		return orNone(p.Workload.Name), none, flowpb.EndpointType_HostEndpoint
	case PeerNetworkSet:
		return orNone(p.Workload.Name), orNone(p.Workload.Namespace), flowpb.EndpointType_NetworkSet
	}
	// Goldmane tells private from public addresses by these names.
	if p.Addr.IsPrivate() || p.Addr.IsLinkLocalUnicast() || p.Addr.IsLoopback() {
		return "pvt", none, flowpb.EndpointType_Network
	}
	return "pub", none, flowpb.EndpointType_Network
}

func peerExtras(p Peer) (kind, addr string) {
	if p.Addr.IsValid() {
		addr = p.Addr.String()
	}
	return string(p.Workload.Kind), addr
}

func peerFromWire(t flowpb.EndpointType, namespace, name, kind, addr string) Peer {
	var p Peer
	if a, err := netip.ParseAddr(addr); err == nil {
		p.Addr = a
	}
	switch t {
	case flowpb.EndpointType_WorkloadEndpoint:
		p.Kind = PeerWorkload
		p.Workload = policy.Workload{Kind: policy.Kind(kind), Namespace: fromNone(namespace), Name: fromNone(name)}
	case flowpb.EndpointType_HostEndpoint:
		p.Kind = PeerHost
		p.Workload.Name = fromNone(name)
	case flowpb.EndpointType_NetworkSet:
		p.Kind = PeerNetworkSet
		p.Workload = policy.Workload{Namespace: fromNone(namespace), Name: fromNone(name)}
	default:
		p.Kind = PeerNetwork
	}
	return p
}

// LabelsToWire are labels as flows.proto has them: name=value, sorted.
func LabelsToWire(l map[string]string) []string {
	out := make([]string, 0, len(l))
	for _, k := range slices.Sorted(maps.Keys(l)) {
		out = append(out, k+"="+l[k])
	}
	return out
}

// LabelsFromWire reads labels.
func LabelsFromWire(l []string) map[string]string {
	if len(l) == 0 {
		return nil
	}
	out := make(map[string]string, len(l))
	for _, s := range l {
		k, v, _ := strings.Cut(s, "=")
		out[k] = v
	}
	return out
}

// ParseProtocol reads a protocol as users and Goldmane write it: a name in any
// case or a number from 1 to 255; ok is false for anything else.
func ParseProtocol(s string) (p policy.Protocol, ok bool) {
	for _, p := range []policy.Protocol{policy.TCP, policy.UDP, policy.ICMP, policy.ICMPv6, policy.SCTP, policy.UDPLite} {
		if strings.EqualFold(p.String(), s) {
			return p, true
		}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	return policy.Protocol(n), err == nil && n > 0
}

func protocolFromWire(s string) policy.Protocol {
	p, _ := ParseProtocol(s)
	return p
}

func orNone(s string) string {
	if s == "" {
		return none
	}
	return s
}

func fromNone(s string) string {
	if s == none {
		return ""
	}
	return s
}
