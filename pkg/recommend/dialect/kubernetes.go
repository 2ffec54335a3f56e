package dialect

import (
	"github.com/netpol-project/netpol/pkg/policy"
)

// kubernetesSpec is the spec of a networking.k8s.io/v1 NetworkPolicy. A direction
// without rules is closed.
func kubernetesSpec(reqs []requirement, sections map[policy.Direction][]any) map[string]any {
	spec := map[string]any{"podSelector": labelSelector(reqs)}
	var types []any
	for _, dir := range []policy.Direction{policy.Ingress, policy.Egress} {
		rules, on := sections[dir]
		if !on {
			continue
		}
		types = append(types, dir.String())
		if len(rules) > 0 {
			spec[directionField(dir)] = rules
		}
	}
	spec["policyTypes"] = types
	return spec
}

// kubernetesRules are one rule, or none where Kubernetes has no words for it: its
// policies know TCP, UDP and SCTP, and a rule without ports would allow every
// protocol.
func kubernetesRules(t *terms, dir policy.Direction) ([]any, []string) {
	var ports []any
	for _, p := range t.ports {
		if p.protocol != policy.TCP && p.protocol != policy.UDP && p.protocol != policy.SCTP {
			return nil, []string{"Kubernetes policies know TCP, UDP and SCTP only, not " + p.protocol.String() + ": the rule is left out"}
		}
		ports = append(ports, kubernetesPort(p))
	}
	if len(ports) == 0 {
		return nil, []string{"Kubernetes policies know TCP, UDP and SCTP only, not " + t.proto.String() + ": the rule is left out"}
	}
	var peers []any
	for _, p := range t.pods {
		peer := map[string]any{"podSelector": labelSelector(p.reqs)}
		if len(p.namespaces) > 0 {
			peer["namespaceSelector"] = labelSelector([]requirement{namespaceRequirement(policy.LabelMetadataName, p.namespaces)})
		}
		peers = append(peers, peer)
	}
	for _, n := range t.nets {
		peers = append(peers, map[string]any{"ipBlock": map[string]any{"cidr": n.String()}})
	}
	field := "to"
	if dir == policy.Ingress {
		field = "from"
	}
	return []any{map[string]any{field: peers, "ports": ports}}, nil
}

func kubernetesPort(p portTerm) map[string]any {
	out := map[string]any{"protocol": p.protocol.String()}
	if p.name != "" {
		out["port"] = p.name
		return out
	}
	out["port"] = int64(p.from)
	if p.to != p.from {
		out["endPort"] = int64(p.to)
	}
	return out
}

func directionField(dir policy.Direction) string {
	if dir == policy.Ingress {
		return "ingress"
	}
	return "egress"
}
