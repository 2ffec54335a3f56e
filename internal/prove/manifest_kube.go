package prove

import (
	"strings"
)

func (k *KubePolicy) manifest() object {
	spec := object{"podSelector": k.PodSelector.manifest()}
	put(spec, "policyTypes", typeNames(k.Types), k.Types != nil)
	put(spec, "ingress", kubeRules(k.Ingress, "from"), len(k.Ingress) > 0)
	put(spec, "egress", kubeRules(k.Egress, "to"), len(k.Egress) > 0)
	return spec
}

func kubeRules(rules []KubeRule, side string) []object {
	out := make([]object, len(rules))
	for i, r := range rules {
		var peers, ports []object
		for _, p := range r.Peers {
			peers = append(peers, p.manifest())
		}
		for _, p := range r.Ports {
			port := object{}
			put(port, "protocol", p.Protocol, p.Protocol != "")
			put(port, "port", p.Port, p.Port != 0)
			put(port, "port", p.Name, p.Name != "")
			put(port, "endPort", p.EndPort, p.EndPort != 0)
			ports = append(ports, port)
		}
		o := object{}
		put(o, side, peers, len(peers) > 0)
		put(o, "ports", ports, len(ports) > 0)
		out[i] = o
	}
	return out
}

func (p KubePeer) manifest() object {
	o := object{}
	if p.Block.IsValid() {
		block := object{"cidr": p.Block.String()}
		put(block, "except", netNames(p.Except), len(p.Except) > 0)
		o["ipBlock"] = block
	}
	if p.PodSelector != nil {
		o["podSelector"] = p.PodSelector.manifest()
	}
	if p.NamespaceSelector != nil {
		o["namespaceSelector"] = p.NamespaceSelector.manifest()
	}
	return o
}

func (s LabelSelector) manifest() object {
	o := object{}
	put(o, "matchLabels", s.MatchLabels, len(s.MatchLabels) > 0)
	var expressions []object
	for _, e := range s.Expressions {
		x := object{"key": e.Key, "operator": e.Operator}
		put(x, "values", e.Values, len(e.Values) > 0)
		expressions = append(expressions, x)
	}
	put(o, "matchExpressions", expressions, len(expressions) > 0)
	return o
}

func (c *ClusterPolicy) manifest() object {
	spec := object{"tier": c.Tier, "priority": c.Priority, "subject": c.Subject.manifest()}
	put(spec, "ingress", clusterRules(c.Ingress, "from"), len(c.Ingress) > 0)
	put(spec, "egress", clusterRules(c.Egress, "to"), len(c.Egress) > 0)
	return spec
}

func (c ClusterPods) manifest() object {
	if c.Pods == nil {
		return object{"namespaces": c.Namespaces.manifest()}
	}
	return object{"pods": object{"namespaceSelector": c.Namespaces.manifest(), "podSelector": c.Pods.manifest()}}
}

func clusterRules(rules []ClusterRule, side string) []object {
	out := make([]object, len(rules))
	for i, r := range rules {
		var peers, protocols []object
		for _, k := range r.Peers {
			if peer := k.Pods.manifest(); len(k.Networks) == 0 {
				peers = append(peers, peer)
			} else {
				peers = append(peers, object{"networks": netNames(k.Networks)})
			}
		}
		for _, k := range r.Protocols {
			protocols = append(protocols, k.manifest())
		}
		o := object{"action": r.Action, side: peers}
		put(o, "protocols", protocols, len(protocols) > 0)
		out[i] = o
	}
	return out
}

func (k ClusterProtocol) manifest() object {
	if k.NamedPort != "" {
		return object{"destinationNamedPort": k.NamedPort}
	}
	port := object{"number": k.Min}
	if k.Min != k.Max {
		port = object{"range": object{"start": k.Min, "end": k.Max}}
	}
	return object{strings.ToLower(k.Protocol): object{"destinationPort": port}}
}
