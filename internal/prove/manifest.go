package prove

import (
	"bytes"
	"fmt"
	"net/netip"

	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/pkg/policy"
)

// object is a manifest or a part of one.
type object = map[string]any

// Manifests is the world as the YAML that a user would write.
func (w *World) Manifests() []byte {
	var all []object
	for _, ns := range w.Namespaces {
		all = append(all, object{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata("", ns.Name, ns.Labels)})
	}
	for _, p := range w.Pods {
		all = append(all, p.manifest())
	}
	for _, t := range w.Tiers {
		spec := object{}
		put(spec, "order", t.Order, t.Order != nil)
		put(spec, "defaultAction", t.DefaultAction, t.DefaultAction != "")
		all = append(all, object{"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": metadata("", t.Name, nil), "spec": spec})
	}
	for _, p := range w.Policies {
		all = append(all, p.manifest())
	}
	var out bytes.Buffer
	for i, o := range all {
		text, err := yaml.Marshal(o)
		if err != nil {
			panic(fmt.Sprintf("prove: a world of plain values does not marshal: %v", err))
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.Bytes()
}

func (p *Pod) manifest() object {
	spec := object{
		"nodeName":           p.Node,
		"serviceAccountName": p.ServiceAccount,
		"containers":         []object{{"name": "main", "image": "example.invalid/main"}},
	}
	put(spec, "hostNetwork", true, p.HostNetwork)
	status := object{"phase": "Running"}
	if p.Finished {
		status["phase"] = "Succeeded"
	}
	var ips []object
	for _, a := range p.Addrs {
		ips = append(ips, object{"ip": a.String()})
	}
	if len(ips) > 0 {
		status["podIP"], status["podIPs"] = p.Addrs[0].String(), ips
	}
	return object{"apiVersion": "v1", "kind": "Pod", "metadata": metadata(p.Namespace, p.Name, p.Labels), "spec": spec, "status": status}
}

func (p *Policy) manifest() object {
	meta := metadata(p.Namespace, p.Name, nil)
	if p.Kube != nil {
		return object{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": p.Kube.manifest()}
	}
	spec := object{}
	put(spec, "tier", p.Tier, p.Tier != "")
	put(spec, "order", p.Order, p.Order != nil)
	put(spec, "types", typeNames(p.Types), p.Types != nil)
	put(spec, "selector", p.Selector.text(), p.Selector != nil)
	put(spec, "namespaceSelector", p.NamespaceSelector.text(), p.NamespaceSelector != nil)
	put(spec, "stagedAction", p.StagedAction, p.StagedAction != "")
	put(spec, "ingress", ruleManifests(p.Ingress), len(p.Ingress) > 0)
	put(spec, "egress", ruleManifests(p.Egress), len(p.Egress) > 0)
	return object{"apiVersion": "projectcalico.org/v3", "kind": string(p.Kind), "metadata": meta, "spec": spec}
}

func ruleManifests(rules []Rule) []object {
	out := make([]object, len(rules))
	for i, r := range rules {
		o := object{"action": r.Action.String()}
		put(o, "ipVersion", r.IPVersion, r.IPVersion != 0)
		put(o, "protocol", r.Protocol.value(), r.Protocol != nil)
		put(o, "notProtocol", r.NotProtocol.value(), r.NotProtocol != nil)
		source, destination := r.Source.manifest(), r.Destination.manifest()
		put(o, "source", source, len(source) > 0)
		put(o, "destination", destination, len(destination) > 0)
		out[i] = o
	}
	return out
}

func (e Entity) manifest() object {
	o := object{}
	put(o, "nets", netNames(e.Nets), len(e.Nets) > 0)
	put(o, "notNets", netNames(e.NotNets), len(e.NotNets) > 0)
	put(o, "selector", e.Selector.text(), e.Selector != nil)
	put(o, "notSelector", e.NotSelector.text(), e.NotSelector != nil)
	put(o, "namespaceSelector", e.NamespaceSelector.text(), e.NamespaceSelector != nil)
	put(o, "ports", portNames(e.Ports), len(e.Ports) > 0)
	put(o, "notPorts", portNames(e.NotPorts), len(e.NotPorts) > 0)
	return o
}

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
			peer := object{}
			if p.Block.IsValid() {
				block := object{"cidr": p.Block.String()}
				put(block, "except", netNames(p.Except), len(p.Except) > 0)
				peer["ipBlock"] = block
			}
			if p.PodSelector != nil {
				peer["podSelector"] = p.PodSelector.manifest()
			}
			if p.NamespaceSelector != nil {
				peer["namespaceSelector"] = p.NamespaceSelector.manifest()
			}
			peers = append(peers, peer)
		}
		for _, p := range r.Ports {
			port := object{}
			put(port, "protocol", p.Protocol, p.Protocol != "")
			put(port, "port", p.Port, p.Port != 0)
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

func metadata(namespace, name string, labels map[string]string) object {
	o := object{"name": name}
	put(o, "namespace", namespace, namespace != "")
	put(o, "labels", labels, len(labels) > 0)
	return o
}

// put sets a field that is given.
func put(o object, field string, value any, given bool) {
	if given {
		o[field] = value
	}
}

func (e *Expr) text() string {
	if e == nil {
		return ""
	}
	return e.String()
}

func (p *Protocol) value() any {
	switch {
	case p == nil:
		return nil
	case p.Name != "":
		return p.Name
	}
	return p.Number
}

func typeNames(types []policy.Direction) []string {
	out := make([]string, len(types))
	for i, t := range types {
		out[i] = t.String()
	}
	return out
}

func netNames(nets []netip.Prefix) []string {
	out := make([]string, len(nets))
	for i, n := range nets {
		out[i] = n.String()
	}
	return out
}

func portNames(ports []PortRange) []any {
	out := make([]any, len(ports))
	for i, p := range ports {
		if out[i] = p.Min; p.Min != p.Max {
			out[i] = fmt.Sprintf("%d:%d", p.Min, p.Max)
		}
	}
	return out
}
