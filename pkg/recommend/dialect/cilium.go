package dialect

import (
	"slices"
	"strconv"

	"github.com/netpol-project/netpol/pkg/policy"
)

// maxCiliumPorts is how many ports Cilium's API takes in one list.
const maxCiliumPorts = 40

// ciliumSpec is the spec of a CiliumNetworkPolicy. A direction in which it has a
// rule, an empty one too, is closed but for what rules allow.
func ciliumSpec(reqs []requirement, sections map[policy.Direction][]any) map[string]any {
	spec := map[string]any{"endpointSelector": labelSelector(reqs)}
	for _, dir := range []policy.Direction{policy.Ingress, policy.Egress} {
		rules, on := sections[dir]
		switch {
		case !on:
		case len(rules) == 0:
			spec[directionField(dir)] = []any{map[string]any{}}
		default:
			spec[directionField(dir)] = rules
		}
	}
	return spec
}

// ciliumRules are one rule for pods, one for nets and one for nodes: what stands
// in one rule must hold together.
func ciliumRules(t *terms, dir policy.Direction, namespace string) ([]any, []string) {
	where, reason := ciliumPorts(t)
	if reason != "" {
		return nil, []string{reason + ": the rule is left out"}
	}
	prefix := "to"
	if dir == policy.Ingress {
		prefix = "from"
	}
	var out []any
	var losses []string
	add := func(field string, peers []any) {
		rule := map[string]any{prefix + field: peers}
		for k, v := range where {
			rule[k] = v
		}
		out = append(out, rule)
	}
	if len(t.pods) > 0 {
		add("Endpoints", ciliumPods(t.pods, namespace))
	}
	switch {
	case len(t.nets) > 0 && t.api:
		add("Entities", []any{"kube-apiserver"})
	case len(t.nets) > 0:
		var nets []any
		for _, n := range t.nets {
			nets = append(nets, n.String())
		}
		add("CIDR", nets)
		if t.nodes {
			add("Entities", []any{"host", "remote-node"})
			losses = append(losses, "Cilium's nets hold no nodes: all nodes are allowed, by their entities")
		}
	}
	if t.icmp != nil && t.icmp.Code != policy.AnyCode {
		losses = append(losses, "Cilium knows the type of ICMP, and no code: every code of the type is allowed")
	}
	return out, losses
}

// ciliumPods are endpoint selectors; another namespace is a label.
func ciliumPods(pods []podTerm, own string) []any {
	var out []any
	for _, p := range pods {
		reqs := p.reqs
		if len(p.namespaces) > 0 && (len(p.namespaces) != 1 || p.namespaces[0] != own) {
			reqs = append([]requirement{namespaceRequirement(ciliumNamespace, p.namespaces)}, reqs...)
		}
		out = append(out, labelSelector(reqs))
	}
	return out
}

// ciliumPorts is toPorts or icmps, or why there is neither.
func ciliumPorts(t *terms) (map[string]any, string) {
	if t.icmp != nil {
		family := "IPv4"
		if t.proto == policy.ICMPv6 {
			family = "IPv6"
		}
		field := map[string]any{"family": family, "type": int64(t.icmp.Type)}
		return map[string]any{"icmps": []any{map[string]any{"fields": []any{field}}}}, ""
	}
	if len(t.ports) == 0 {
		return nil, "Cilium's policies know TCP, UDP, SCTP and ICMP, not " + t.proto.String()
	}
	var ports []any
	for _, p := range t.ports {
		if p.protocol != policy.TCP && p.protocol != policy.UDP && p.protocol != policy.SCTP {
			return nil, "Cilium's policies know TCP, UDP, SCTP and ICMP, not " + p.protocol.String()
		}
		port := map[string]any{"protocol": p.protocol.String(), "port": p.name}
		if p.name == "" {
			port["port"] = strconv.Itoa(int(p.from))
			if p.to != p.from {
				port["endPort"] = int64(p.to)
			}
		}
		ports = append(ports, port)
	}
	var lists []any
	for part := range slices.Chunk(ports, maxCiliumPorts) {
		lists = append(lists, map[string]any{"ports": part})
	}
	return map[string]any{"toPorts": lists}, ""
}
