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
// NetworkPolicy that judges alike.
func ToObject(p *Policy) *unstructured.Unstructured {
	kind := p.Kind
	if kind == KindKubernetesNetworkPolicy {
		kind = KindNetworkPolicy
	}
	meta := map[string]any{"name": p.Name}
	if p.Namespace != "" {
		meta["namespace"] = p.Namespace
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "projectcalico.org/v3",
		"kind":       string(kind),
		"metadata":   meta,
		"spec":       specObject(p),
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
	if e := entityObject(&r.Source); len(e) > 0 {
		rule["source"] = e
	}
	if e := entityObject(&r.Destination); len(e) > 0 {
		rule["destination"] = e
	}
	return rule
}

func entityObject(e *Entity) map[string]any {
	out := map[string]any{}
	putSelector(out, "selector", e.Selector)
	putSelector(out, "notSelector", e.NotSelector)
	putSelector(out, "namespaceSelector", e.NamespaceSelector)
	putNets(out, "nets", e.Nets)
	putNets(out, "notNets", e.NotNets)
	putPorts(out, "ports", e.Ports)
	putPorts(out, "notPorts", e.NotPorts)
	return out
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

func putPorts(to map[string]any, field string, ports []PortRange) {
	if len(ports) == 0 {
		return
	}
	out := make([]any, len(ports))
	for i, p := range ports {
		if p.Min == p.Max {
			out[i] = int64(p.Min)
		} else {
			out[i] = p.String()
		}
	}
	to[field] = out
}

// TierObject is the v3 resource of a tier.
func TierObject(t *Tier) *unstructured.Unstructured {
	spec := map[string]any{"defaultAction": t.DefaultAction.String()}
	if !math.IsInf(t.Order, 0) {
		spec["order"] = number(t.Order)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "projectcalico.org/v3",
		"kind":       "Tier",
		"metadata":   map[string]any{"name": t.Name},
		"spec":       spec,
	}}
}
