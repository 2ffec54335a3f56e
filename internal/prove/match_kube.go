package prove

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// kubeMatches is S4: any of the peers and any of the ports; none given is any.
func (w *World) kubeMatches(p *Policy, r KubeRule, c Packet) bool {
	peer := len(r.Peers) == 0
	for _, k := range r.Peers {
		peer = peer || w.kubePeer(p, k, c.Peer)
	}
	port := len(r.Ports) == 0
	for _, k := range r.Ports {
		port = port || k.matches(c)
	}
	return peer && port
}

// kubePeer: selectors are of pods, not of network sets.
func (w *World) kubePeer(p *Policy, k KubePeer, end End) bool {
	if k.Block.IsValid() {
		return inNets([]netip.Prefix{k.Block}, end.addrs()) && !inNets(k.Except, end.addrs())
	}
	if end.Pod == nil {
		return false
	}
	if k.NamespaceSelector == nil && end.Pod.Namespace != p.Namespace {
		return false
	}
	if k.NamespaceSelector != nil && !k.NamespaceSelector.matches(w.namespace(end.Pod.Namespace).labels()) {
		return false
	}
	return k.PodSelector == nil || k.PodSelector.matches(end.Pod.Labels)
}

// matches: a name is one of the destination pod's (S21).
func (k KubePort) matches(c Packet) bool {
	if numbers[cmp.Or(k.Protocol, "TCP")] != c.Protocol {
		return false
	}
	if k.Name != "" {
		to := c.destination().Pod
		return to != nil && to.declares(k.Name, c.Protocol, c.Port)
	}
	last := max(k.Port, k.EndPort)
	return k.Port == 0 || k.Port <= c.Port && c.Port <= last
}

var clusterActions = map[string]policy.Action{"Accept": policy.Allow, "Deny": policy.Deny, "Pass": policy.Pass}

// clusterMatches: any of the peers, and any of the protocols if there are any.
func (w *World) clusterMatches(r ClusterRule, c Packet) bool {
	peer := slices.ContainsFunc(r.Peers, func(k ClusterPeer) bool {
		if len(k.Networks) > 0 {
			return inNets(k.Networks, c.Peer.addrs())
		}
		return c.Peer.Pod != nil && w.clusterPods(k.Pods, c.Peer.Pod)
	})
	protocol := len(r.Protocols) == 0 || slices.ContainsFunc(r.Protocols, func(k ClusterProtocol) bool {
		if to := c.destination().Pod; k.NamedPort != "" {
			return to != nil && to.declares(k.NamedPort, c.Protocol, c.Port)
		}
		return numbers[k.Protocol] == c.Protocol && k.Min <= c.Port && c.Port <= k.Max
	})
	return peer && protocol
}

func (w *World) clusterPods(s ClusterPods, p *Pod) bool {
	return s.Namespaces.matches(w.namespace(p.Namespace).labels()) && (s.Pods == nil || s.Pods.matches(p.Labels))
}

func (s LabelSelector) matches(labels map[string]string) bool {
	for k, v := range s.MatchLabels {
		if have, has := labels[k]; !has || have != v {
			return false
		}
	}
	for _, e := range s.Expressions {
		value, has := labels[e.Key]
		holds := false
		switch e.Operator {
		case "In":
			holds = has && slices.Contains(e.Values, value)
		case "NotIn":
			holds = !has || !slices.Contains(e.Values, value)
		case "Exists":
			holds = has
		case "DoesNotExist":
			holds = !has
		}
		if !holds {
			return false
		}
	}
	return true
}
