package policy

import (
	"math"
	"net/netip"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// ToObject is the v3 resource that p was or could have been read from, with
// as few fields as possible and selectors in canonical form; decoding it gives
// p again (without its Origin). A Kubernetes NetworkPolicy becomes the v3
// NetworkPolicy, and a ClusterNetworkPolicy the GlobalNetworkPolicy, that judges
// alike; a StagedKubernetesNetworkPolicy stays one.
func ToObject(p *Policy) *unstructured.Unstructured {
	kind, spec := p.Kind, specObject
	switch kind {
	case KindKubernetesNetworkPolicy:
		kind = KindNetworkPolicy
	case KindClusterNetworkPolicy:
		kind = KindGlobalNetworkPolicy
	case KindStagedKubernetesNetworkPolicy:
		spec = kubernetesSpec
	}
	return object(kind, p.Namespace, p.Name, spec(p))
}

// object is a v3 resource.
func object(kind Kind, namespace, name string, spec map[string]any) *unstructured.Unstructured {
	meta := map[string]any{"name": name}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "projectcalico.org/v3",
		"kind":       string(kind),
		"metadata":   meta,
		"spec":       spec,
	}}
}

// specObject always says tier and types, though both have defaults: a reader
// should not have to know those.
func specObject(p *Policy) map[string]any {
	spec := map[string]any{"tier": p.Tier}
	if p.StagedAction != "" && p.StagedAction != StagedSet {
		spec["stagedAction"] = string(p.StagedAction)
		if p.StagedAction == StagedDelete {
			return spec
		}
	}
	if !math.IsInf(p.Order, 0) {
		spec["order"] = number(p.Order)
	}
	putSelector(spec, "selector", p.Selector)
	putSelector(spec, "namespaceSelector", p.NamespaceSelector)
	putSelector(spec, "serviceAccountSelector", p.ServiceAccountSelector)
	for field, set := range map[string]bool{"applyOnForward": p.ApplyOnForward, "doNotTrack": p.DoNotTrack, "preDNAT": p.PreDNAT} {
		if set {
			spec[field] = true
		}
	}
	var types []any
	for d, field := range [...]string{"ingress", "egress"} {
		if p.Types[d] {
			types = append(types, Direction(d).String())
		}
		if len(p.Rules[d]) == 0 {
			continue
		}
		rules := make([]any, len(p.Rules[d]))
		for i := range p.Rules[d] {
			rules[i] = ruleObject(&p.Rules[d][i])
		}
		spec[field] = rules
	}
	if types != nil {
		spec["types"] = types
	}
	return spec
}

// number is an integer where it can be, so that YAML has 10 and not 10.0.
func number(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return int64(f)
	}
	return f
}

func ruleObject(r *Rule) map[string]any {
	rule := map[string]any{"action": r.Action.String()}
	if r.IPVersion != 0 {
		rule["ipVersion"] = int64(r.IPVersion)
	}
	putProtocol(rule, "protocol", r.Protocol)
	putProtocol(rule, "notProtocol", r.NotProtocol)
	putICMP(rule, "icmp", r.ICMP)
	putICMP(rule, "notICMP", r.NotICMP)
	if r.HTTP != nil {
		rule["http"] = httpObject(r.HTTP)
	}
	if e := entityObject(&r.Source); len(e) > 0 {
		rule["source"] = e
	}
	if e := entityObject(&r.Destination); len(e) > 0 {
		rule["destination"] = e
	}
	return rule
}

func putICMP(to map[string]any, field string, m *ICMPMatch) {
	if m == nil {
		return
	}
	out := map[string]any{"type": int64(m.Type)}
	if m.Code != AnyCode {
		out["code"] = int64(m.Code)
	}
	to[field] = out
}

func httpObject(m *HTTPMatch) map[string]any {
	out := map[string]any{}
	putStrings(out, "methods", m.Methods)
	var paths []any
	for _, p := range m.Paths {
		if p.Exact != "" {
			paths = append(paths, map[string]any{"exact": p.Exact})
		} else {
			paths = append(paths, map[string]any{"prefix": p.Prefix})
		}
	}
	if paths != nil {
		out["paths"] = paths
	}
	return out
}

func entityObject(e *Entity) map[string]any {
	out := map[string]any{}
	putSelector(out, "selector", e.Selector)
	putSelector(out, "notSelector", e.NotSelector)
	putSelector(out, "namespaceSelector", e.NamespaceSelector)
	if m := e.ServiceAccounts; m != nil {
		accounts := map[string]any{}
		putStrings(accounts, "names", m.Names)
		putSelector(accounts, "selector", m.Selector)
		out["serviceAccounts"] = accounts
	}
	if s := e.Service; s != nil {
		out["services"] = map[string]any{"name": s.Name, "namespace": s.Namespace}
	}
	putNets(out, "nets", e.Nets)
	putNets(out, "notNets", e.NotNets)
	putPorts(out, "ports", e.Ports, e.NamedPorts)
	putPorts(out, "notPorts", e.NotPorts, e.NotNamedPorts)
	return out
}

func putStrings(to map[string]any, field string, list []string) {
	if len(list) == 0 {
		return
	}
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	to[field] = out
}

func putSelector(to map[string]any, field string, s *selector.Selector) {
	if s != nil {
		to[field] = s.String()
	}
}

// putProtocol writes a name, or a number for a protocol that has none.
func putProtocol(to map[string]any, field string, p Protocol) {
	switch {
	case p == 0:
	case protocolNames[p] != "":
		to[field] = p.String()
	default:
		to[field] = int64(p)
	}
}

func putNets(to map[string]any, field string, nets []netip.Prefix) {
	if len(nets) == 0 {
		return
	}
	out := make([]any, len(nets))
	for i, n := range nets {
		out[i] = n.String()
	}
	to[field] = out
}

// putPorts writes numbers before names.
func putPorts(to map[string]any, field string, ports []PortRange, names []string) {
	var out []any
	for _, p := range ports {
		if p.Min == p.Max {
			out = append(out, int64(p.Min))
		} else {
			out = append(out, p.String())
		}
	}
	for _, name := range names {
		out = append(out, name)
	}
	if out != nil {
		to[field] = out
	}
}
