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

const calico = "projectcalico.org/v3"

// Manifests is the world as the YAML that a user would write.
func (w *World) Manifests() []byte {
	var out bytes.Buffer
	for i, o := range w.objects() {
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

func (w *World) objects() []object {
	var all []object
	for _, ns := range w.Namespaces {
		all = append(all, object{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata("", ns.Name, ns.Labels)})
	}
	for _, a := range w.Accounts {
		all = append(all, object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(a.Namespace, a.Name, a.Labels)})
	}
	for _, p := range w.Pods {
		all = append(all, p.manifest())
	}
	for _, s := range w.Services {
		all = append(all, s.manifests()...)
	}
	for _, s := range w.Sets {
		all = append(all, s.manifest())
	}
	for _, h := range w.HostEndpoints {
		all = append(all, h.manifest())
	}
	for _, t := range w.Tiers {
		spec := object{}
		put(spec, "order", t.Order, t.Order != nil)
		put(spec, "defaultAction", t.DefaultAction, t.DefaultAction != "")
		all = append(all, object{"apiVersion": calico, "kind": "Tier", "metadata": metadata("", t.Name, nil), "spec": spec})
	}
	for _, p := range w.Policies {
		all = append(all, p.manifest())
	}
	return all
}

func (p *Policy) manifest() object {
	meta := metadata(p.Namespace, p.Name, nil)
	spec := object{}
	switch {
	case p.Kube != nil && p.Kind.Staged():
		if p.StagedAction != "Delete" {
			spec = p.Kube.manifest()
		}
		put(spec, "stagedAction", p.StagedAction, p.StagedAction != "")
		return object{"apiVersion": calico, "kind": string(p.Kind), "metadata": meta, "spec": spec}
	case p.Kube != nil:
		return object{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": p.Kube.manifest()}
	case p.Cluster != nil:
		return object{"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": meta, "spec": p.Cluster.manifest()}
	}
	put(spec, "tier", p.Tier, p.Tier != "")
	put(spec, "order", p.Order, p.Order != nil)
	put(spec, "types", typeNames(p.Types), p.Types != nil)
	put(spec, "selector", p.Selector.text(), p.Selector != nil)
	put(spec, "namespaceSelector", p.NamespaceSelector.text(), p.NamespaceSelector != nil)
	put(spec, "serviceAccountSelector", p.ServiceAccountSelector.text(), p.ServiceAccountSelector != nil)
	put(spec, "applyOnForward", true, p.ApplyOnForward)
	put(spec, "doNotTrack", true, p.DoNotTrack)
	put(spec, "preDNAT", true, p.PreDNAT)
	put(spec, "stagedAction", p.StagedAction, p.StagedAction != "")
	put(spec, "ingress", ruleManifests(p.Ingress), len(p.Ingress) > 0)
	put(spec, "egress", ruleManifests(p.Egress), len(p.Egress) > 0)
	return object{"apiVersion": calico, "kind": string(p.Kind), "metadata": meta, "spec": spec}
}

func ruleManifests(rules []Rule) []object {
	out := make([]object, len(rules))
	for i, r := range rules {
		o := object{"action": r.Action.String()}
		put(o, "ipVersion", r.IPVersion, r.IPVersion != 0)
		put(o, "protocol", r.Protocol.value(), r.Protocol != nil)
		put(o, "notProtocol", r.NotProtocol.value(), r.NotProtocol != nil)
		put(o, "icmp", r.ICMP.manifest(), r.ICMP != nil)
		put(o, "notICMP", r.NotICMP.manifest(), r.NotICMP != nil)
		put(o, "http", object{"methods": []string{"GET"}, "paths": []object{{"exact": "/a"}, {"prefix": "/b"}}}, r.HTTP)
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
	if a := e.ServiceAccounts; a != nil {
		match := object{}
		put(match, "names", a.Names, len(a.Names) > 0)
		put(match, "selector", a.Selector.text(), a.Selector != nil)
		o["serviceAccounts"] = match
	}
	if s := e.Service; s != nil {
		o["services"] = metadata(s.Namespace, s.Name, nil)
	}
	put(o, "ports", portNames(e.Ports), len(e.Ports) > 0)
	put(o, "notPorts", portNames(e.NotPorts), len(e.NotPorts) > 0)
	return o
}

func (i *ICMP) manifest() object {
	if i == nil {
		return nil
	}
	o := object{"type": i.Type}
	put(o, "code", i.Code, i.Code >= 0)
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

func portNames(ports []Port) []any {
	out := make([]any, len(ports))
	for i, p := range ports {
		switch {
		case p.Name != "":
			out[i] = p.Name
		case p.Min != p.Max:
			out[i] = fmt.Sprintf("%d:%d", p.Min, p.Max)
		default:
			out[i] = p.Min
		}
	}
	return out
}
