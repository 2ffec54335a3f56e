package policy

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// kubernetesSpec is the spec of a StagedKubernetesNetworkPolicy: Kubernetes'
// own, which has one rule for each of ours.
func kubernetesSpec(p *Policy) map[string]any {
	spec := map[string]any{}
	if p.StagedAction != "" && p.StagedAction != StagedSet {
		spec["stagedAction"] = string(p.StagedAction)
		if p.StagedAction == StagedDelete {
			return spec
		}
	}
	spec["podSelector"] = labelSelectorObject(p.Selector)
	var types []any
	for d, field := range [...]string{"ingress", "egress"} {
		if p.Types[d] {
			types = append(types, Direction(d).String())
		}
		var rules []any
		for i := range p.Rules[d] {
			rules = append(rules, kubernetesRuleObject(&p.Rules[d][i], Direction(d)))
		}
		if rules != nil {
			spec[field] = rules
		}
	}
	spec["policyTypes"] = types
	return spec
}

func kubernetesRuleObject(r *Rule, d Direction) map[string]any {
	out := map[string]any{}
	peer, field := &r.Source, "from"
	if d == Egress {
		peer, field = &r.Destination, "to"
	}
	if o := peerObject(peer); len(o) > 0 {
		out[field] = []any{o}
	}
	if r.Protocol == 0 {
		return out
	}
	var ports []any
	add := func(port any, end uint16) {
		o := map[string]any{"protocol": r.Protocol.String()}
		if port != nil {
			o["port"] = port
		}
		if end != 0 {
			o["endPort"] = int64(end)
		}
		ports = append(ports, o)
	}
	for _, p := range r.Destination.Ports {
		if p.Min == p.Max {
			add(int64(p.Min), 0)
		} else {
			add(int64(p.Min), p.Max)
		}
	}
	for _, name := range r.Destination.NamedPorts {
		add(name, 0)
	}
	if ports == nil {
		add(nil, 0)
	}
	out["ports"] = ports
	return out
}

func peerObject(e *Entity) map[string]any {
	out := map[string]any{}
	if len(e.Nets) > 0 {
		block := map[string]any{"cidr": e.Nets[0].String()}
		var except []any
		for _, n := range e.NotNets {
			except = append(except, n.String())
		}
		if except != nil {
			block["except"] = except
		}
		out["ipBlock"] = block
		return out
	}
	if e.NamespaceSelector != nil {
		out["namespaceSelector"] = labelSelectorObject(e.NamespaceSelector)
	}
	if e.Selector == nil {
		return out
	}
	reqs := requirements(e.Selector)
	if len(reqs) > 0 || e.NamespaceSelector == nil {
		out["podSelector"] = selectorOf(reqs)
	}
	return out
}

// requirements are the parts of a selector that Kubernetes' labels made, but
// what onlyPods added.
func requirements(s *selector.Selector) []selector.Requirement {
	reqs, _ := s.Requirements()
	return slices.DeleteFunc(reqs, func(r selector.Requirement) bool {
		return r.Operator == "In" && r.Label == LabelOrchestrator && slices.Equal(r.Values, []string{"k8s"})
	})
}

func labelSelectorObject(s *selector.Selector) map[string]any {
	reqs, _ := s.Requirements()
	return selectorOf(reqs)
}

// selectorOf writes equality of a label as matchLabels, once each, and the rest
// as expressions.
func selectorOf(reqs []selector.Requirement) map[string]any {
	out, labels := map[string]any{}, map[string]any{}
	var exprs []any
	for _, r := range reqs {
		if r.Operator == "In" && len(r.Values) == 1 && labels[r.Label] == nil {
			labels[r.Label] = r.Values[0]
			continue
		}
		o := map[string]any{"key": r.Label, "operator": r.Operator}
		putStrings(o, "values", r.Values)
		exprs = append(exprs, o)
	}
	if len(labels) > 0 {
		out["matchLabels"] = labels
	}
	if exprs != nil {
		out["matchExpressions"] = exprs
	}
	return out
}
