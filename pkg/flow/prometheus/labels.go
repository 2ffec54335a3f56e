package prometheus

import (
	"strconv"

	"github.com/prometheus/common/model"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/policy"
)

// infoLabels are those of netpol_agent_info.
func infoLabels() []model.LabelName { return []model.LabelName{"node", "version"} }

// own is a label that the agent gave, also where Prometheus gives all agents a
// label of the same name.
func own(m model.Metric, name model.LabelName) string {
	if v, ok := m[model.ExportedLabelPrefix+name]; ok {
		return string(v)
	}
	return string(m[name])
}

// targetOf are the labels that say which agent a series is of: those that it did
// not give itself.
func targetOf(m model.Metric, labels []model.LabelName) model.LabelSet {
	out := model.LabelSet{}
	for k, v := range m {
		out[k] = v
	}
	delete(out, model.MetricNameLabel)
	for _, name := range labels {
		if _, exported := m[model.ExportedLabelPrefix+name]; exported {
			delete(out, model.ExportedLabelPrefix+name)
			continue
		}
		delete(out, name)
	}
	return out
}

// what a series counts.
type what uint8

const (
	aFlow     what = iota
	unknown        // connections of which nobody knows whose they were
	unchecked      // what was sent in a name that nobody has checked (S31)
)

// keyOf is what a series of netpol_flows_total counts.
func keyOf(m model.Metric) (k flow.Key, w what) {
	if own(m, "source_kind") == "Unchecked" {
		return k, unchecked
	}
	var ok [6]bool
	k.Source, ok[0] = peerOf(m, "source_")
	k.Destination, ok[1] = peerOf(m, "destination_")
	k.Protocol, ok[2] = flow.ParseProtocol(own(m, "protocol"))
	k.Enforced, ok[3] = hitOf(own(m, "verdict"))
	k.Pending, ok[4] = hitOf(own(m, "pending_verdict"))
	switch own(m, "direction") {
	case policy.Egress.String():
		k.Direction, ok[5] = policy.Egress, true
	case policy.Ingress.String():
		k.Direction, ok[5] = policy.Ingress, true
	}
	if text := own(m, "port"); !k.Protocol.HasTypes() {
		port, err := strconv.ParseUint(text, 10, 16)
		k.Port = uint16(port)
		ok[2] = ok[2] && err == nil
	}
	if ok != [6]bool{true, true, true, true, true, true} {
		return flow.Key{}, unknown
	}
	return k, aFlow
}

// peerOf is an end of a flow; false if it is none, as of flows that the agent
// counts together since there are too many (kind Other).
func peerOf(m model.Metric, end model.LabelName) (flow.Peer, bool) {
	p := flow.Peer{Kind: flow.PeerKind(own(m, end+"kind"))}
	namespace, name := own(m, end+"namespace"), own(m, end+"workload")
	switch p.Kind {
	case flow.PeerWorkload:
		p.Workload = policy.Workload{Kind: policy.Kind(own(m, end+"workload_kind")), Namespace: namespace, Name: name}
		return p, namespace != "" && name != ""
	case flow.PeerHost:
		p.Workload.Name = name
		return p, true
	case flow.PeerNetworkSet:
		p.Workload = policy.Workload{Namespace: namespace, Name: name}
		return p, name != ""
	case flow.PeerNetwork:
		return p, true
	}
	return p, false
}

// hitOf is a verdict, of which nobody says which policy decided.
func hitOf(text string) (policy.Hit, bool) {
	action, ok := flow.ParseAction(text)
	return policy.Hit{Rule: policy.NoPolicy, Action: action}, ok
}
