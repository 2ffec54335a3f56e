package policy

import (
	"slices"
	"strconv"
)

// kubernetesOrder is where a Kubernetes NetworkPolicy stands in tier default (S4).
const kubernetesOrder = 1000

// readKubernetes reads a networking.k8s.io/v1 NetworkPolicy (S4). It has Allow
// rules only, so one with faults is closed by leaving out what is at fault; if
// its podSelector is, it selects the whole namespace and allows nothing.
func readKubernetes(r *reading) any {
	spec := r.root.get("spec")
	p := &Policy{Key: r.key, Tier: "default", Order: kubernetesOrder, Origin: r.origin(r.root.line, r.root.col)}
	r.check(spec, r.schema.field("spec"), "ingress", "egress")
	start := r.mark()
	p.Selector = r.labelSelector(spec.get("podSelector"))
	h := r.headFaults()
	if p.Selector.All() || r.since(start) || h.twice {
		p.Selector = nil
	}
	r.kubernetesTypes(p, spec, h.any)
	if h.twice {
		p.Types = [2]bool{true, true}
	}
	for dir, field := range [...]string{"ingress", "egress"} {
		list := spec.get(field)
		if list != nil && list.kind != isList {
			r.wrongType(list, isList)
			p.Types[dir] = true
		}
		for i := range items(list) {
			rules := r.kubernetesRule(&list.kids[i].node, Direction(dir))
			if !h.any {
				p.Rules[dir] = append(p.Rules[dir], rules...)
			}
		}
	}
	return p
}

func (r *reading) kubernetesTypes(p *Policy, spec *node, broken bool) {
	types := spec.get("policyTypes")
	if types.empty() {
		p.Types[Ingress] = true
		p.Types[Egress] = broken || len(items(spec.get("egress"))) > 0
		return
	}
	if types.kind != isList {
		p.Types = [2]bool{true, true}
	}
	for i := range items(types) {
		t := &types.kids[i].node
		switch t.text {
		case "Ingress":
			p.Types[Ingress] = true
		case "Egress":
			p.Types[Egress] = true
		default:
			r.fault(t, Fault{Reason: "there is no such policy type", Fix: didYouMean(t.text, []string{"Ingress", "Egress"})})
			p.Types = [2]bool{true, true}
		}
	}
}

// kubernetesRule makes one Allow per protocol and peer, with ports merged. A
// rule with an unknown field is left out, since it may lack a criterion.
func (r *reading) kubernetesRule(n *node, dir Direction) []Rule {
	field, peers := "ingress", n.get("from")
	if dir == Egress {
		field, peers = "egress", n.get("to")
	}
	start := r.mark()
	r.check(n, r.schema.field("spec", field))
	if r.since(start) || n.kind != isMap {
		return nil
	}
	entities := []Entity{{}}
	if len(items(peers)) > 0 {
		entities = r.peers(peers)
	}
	var rules []Rule
	for _, pp := range r.protocolPorts(n.get("ports")) {
		for _, e := range entities {
			rule := Rule{Action: Allow, Protocol: pp.protocol, Destination: Entity{Ports: pp.ports}}
			if dir == Ingress {
				rule.Source = e
			} else {
				rule.Destination = e
				rule.Destination.Ports = pp.ports
			}
			rules = append(rules, rule)
		}
	}
	return rules
}

type protocolPorts struct {
	protocol Protocol
	ports    []PortRange
}

// protocolPorts groups a rule's ports by protocol; without any it is one group
// of any protocol. A port that is wrong is left out.
func (r *reading) protocolPorts(n *node) []protocolPorts {
	if len(items(n)) == 0 {
		return []protocolPorts{{}}
	}
	var groups []protocolPorts
	whole := map[Protocol]bool{}
	for i := range n.kids {
		e := &n.kids[i].node
		start := r.mark()
		proto := TCP
		if f := e.get("protocol"); !f.empty() {
			proto = r.protocol(f)
			if proto != 0 && !proto.HasPorts() {
				r.fault(f, Fault{Reason: "the protocol is one of TCP, UDP and SCTP"})
			}
		}
		ports, all := r.kubernetesPort(e)
		if r.since(start) {
			continue
		}
		i := slices.IndexFunc(groups, func(g protocolPorts) bool { return g.protocol == proto })
		if i < 0 {
			i = len(groups)
			groups = append(groups, protocolPorts{protocol: proto})
		}
		whole[proto] = whole[proto] || all
		groups[i].ports = append(groups[i].ports, ports)
	}
	for i := range groups {
		if whole[groups[i].protocol] {
			groups[i].ports = nil
		}
	}
	return groups
}

// kubernetesPort reads port and endPort; all means that no port is given.
func (r *reading) kubernetesPort(n *node) (_ PortRange, all bool) {
	port, end := n.get("port"), n.get("endPort")
	if port == nil {
		if end != nil {
			r.fault(end, Fault{Reason: "endPort needs port"})
		}
		return PortRange{Min: 1, Max: 65535}, true
	}
	if port.kind == isString {
		if _, err := strconv.Atoi(port.text); err != nil {
			r.unsupported(port, "a port given by name")
			return PortRange{}, false
		}
	}
	out := r.port(port)
	if end != nil {
		last := r.port(end)
		if last.Max != 0 && last.Max < out.Min {
			r.fault(end, Fault{Reason: "the range ends before it begins"})
		}
		out.Max = last.Max
	}
	return out, false
}
