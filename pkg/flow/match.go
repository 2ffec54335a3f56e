package flow

import (
	"slices"
	"strings"
)

// Match says whether a flow of key k passes the filter, times apart.
func (f Filter) Match(k Key) bool {
	if k.Probe && !f.IncludeProbes {
		return false
	}
	if f.Protocol != 0 && f.Protocol != k.Protocol {
		return false
	}
	if f.Port != 0 && (f.Port != k.Port || k.Protocol.HasTypes()) {
		return false
	}
	if f.Action != 0 && f.Action != k.Enforced.Action {
		return false
	}
	if f.Pending != 0 && f.Pending != k.Pending.Action {
		return false
	}
	if f.FromNamespace != "" && !inNamespaces(k.Source, []string{f.FromNamespace}) || f.ToNamespace != "" && !inNamespaces(k.Destination, []string{f.ToNamespace}) {
		return false
	}
	if len(f.Namespaces) > 0 && !inNamespaces(k.Source, f.Namespaces) && !inNamespaces(k.Destination, f.Namespaces) {
		return false
	}
	if f.Workload != "" && !k.Source.Is(f.Workload) && !k.Destination.Is(f.Workload) {
		return false
	}
	if f.From != "" && !k.Source.Is(f.From) {
		return false
	}
	return f.To == "" || k.Destination.Is(f.To)
}

// Is says whether name is the peer: namespace/workload, a workload's name
// alone, a node's name, a network set's name likewise, or an address.
func (p Peer) Is(name string) bool {
	if p.Kind == PeerNetwork {
		return p.Addr.IsValid() && p.Addr.String() == name
	}
	if ns, workload, ok := strings.Cut(name, "/"); ok {
		return p.inNamespace() && p.Workload.Namespace == ns && p.Workload.Name == workload
	}
	return p.Workload.Name == name || (p.Addr.IsValid() && p.Addr.String() == name)
}

func inNamespaces(p Peer, namespaces []string) bool {
	return p.inNamespace() && slices.Contains(namespaces, p.Workload.Namespace)
}

// inNamespace says whether p is something that lives in a namespace.
func (p Peer) inNamespace() bool {
	return p.Kind == PeerWorkload || p.Kind == PeerNetworkSet && p.Workload.Namespace != ""
}
