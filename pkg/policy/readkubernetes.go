package policy

import (
	"slices"
	"strings"
)

// kubernetesOrder is where a Kubernetes NetworkPolicy stands in tier default (S4).
const kubernetesOrder = 1000

// readKubernetes reads a networking.k8s.io/v1 NetworkPolicy (S4), or the staged
// form that Calico has of it. It has Allow rules only, so one with faults is
// closed by leaving out what is at fault; if its podSelector is, it selects the
// whole namespace and allows nothing.
func readKubernetes(r *reading) any {
	spec := r.root.get("spec")
	p := &Policy{Key: r.key, Tier: "default", Order: kubernetesOrder, Origin: r.origin(r.root.line, r.root.col)}
	r.check(spec, r.schema.field("spec"), "ingress", "egress")
	if p.Kind.Staged() {
		p.StagedAction = r.stagedAction(spec)
	}
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
	if r.since(0) && p.Kind.Staged() {
		return nil
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
			r.fault(t, Fault{Code: CodeUnknownValue, Reason: "there is no such policy type", Fix: didYouMean(t.text, []string{"Ingress", "Egress"})})
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
	r.checkRule(n, r.schema.field("spec", field))
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
			rules = append(rules, pp.rule(Allow, dir, e))
		}
	}
	return rules
}

// protocolPorts are ports of one protocol; none means all of them.
type protocolPorts struct {
	protocol Protocol
	ports    []PortRange
	names    []string
}

// rule is a rule for a peer and these ports.
func (pp protocolPorts) rule(a Action, dir Direction, peer Entity) Rule {
	rule := Rule{Action: a, Protocol: pp.protocol}
	if dir == Ingress {
		rule.Source = peer
	} else {
		rule.Destination = peer
	}
	rule.Destination.Ports, rule.Destination.NamedPorts = pp.ports, pp.names
	return rule
}

// protocolPorts groups a rule's ports by protocol; without any it is one group
// of any protocol. A port that is wrong is left out.
func (r *reading) protocolPorts(n *node) []protocolPorts {
	if len(items(n)) == 0 {
		return []protocolPorts{{}}
	}
	var groups portGroups
	for i := range n.kids {
		e := &n.kids[i].node
		start := r.mark()
		proto := r.kubernetesProtocol(e.get("protocol"))
		ports, name := r.kubernetesPort(e)
		if !r.since(start) {
			groups.add(proto, ports, name)
		}
	}
	return groups.groups
}

// kubernetesProtocol reads a protocol by its exact name, as Kubernetes does,
// which takes neither other spellings nor numbers; TCP if there is none.
func (r *reading) kubernetesProtocol(n *node) Protocol {
	if n == nil {
		return TCP
	}
	names := []string{TCP.String(), UDP.String(), SCTP.String()}
	if n.kind != isString || !slices.Contains(names, n.text) {
		r.fault(n, Fault{Code: CodeBadProtocol, Reason: "the protocol is one of TCP, UDP and SCTP", Fix: fixOf(nearest(n.text, names))})
		return 0
	}
	return r.protocol(n)
}

// portGroups gathers ports by protocol.
type portGroups struct {
	groups []protocolPorts
	whole  map[Protocol]bool // all ports of the protocol
}

// add adds a port by name or, without one, by number; no port at all stands
// for all of them.
func (g *portGroups) add(proto Protocol, ports PortRange, name string) {
	i := slices.IndexFunc(g.groups, func(x protocolPorts) bool { return x.protocol == proto })
	if i < 0 {
		i = len(g.groups)
		g.groups = append(g.groups, protocolPorts{protocol: proto})
	}
	x := &g.groups[i]
	switch {
	case g.whole[proto]:
	case name != "":
		x.names = append(x.names, name)
	case ports != PortRange{}:
		x.ports = append(x.ports, ports)
	default:
		if g.whole == nil {
			g.whole = map[Protocol]bool{}
		}
		g.whole[proto], x.ports, x.names = true, nil, nil
	}
}

// kubernetesPort reads port and endPort: a range, a name, or neither for all
// ports.
func (r *reading) kubernetesPort(n *node) (_ PortRange, name string) {
	port, end := n.get("port"), n.get("endPort")
	switch {
	case port == nil && end != nil:
		r.fault(end, Fault{Code: CodeRequired, Reason: "endPort needs port"})
		return PortRange{}, ""
	case port == nil:
		return PortRange{}, ""
	case port.kind == isString && portName(port.text):
		if end != nil {
			r.fault(end, Fault{Code: CodeExclusive, Reason: "endPort does not go together with a port by name"})
		}
		if !kubernetesPortName(port.text) {
			r.fault(port, Fault{Code: CodeBadName, Reason: "the name of a port is made of at most 15 lower-case letters, digits and -, with a letter among them"})
		}
		return PortRange{}, r.dec.shared.str(port.text)
	}
	if port.kind == isString { // a range is written with endPort
		r.fault(port, Fault{Code: CodeBadPort, Reason: "a port is a number from 1 to 65535 without quotes, or the name of a container's port", Fix: kubernetesPortFix(port.text)})
		return PortRange{}, ""
	}
	out := r.port(port)
	if end != nil {
		last := r.port(end)
		if last.Max != 0 && last.Max < out.Min {
			r.fault(end, Fault{Code: CodeBadPort, Reason: "the range ends before it begins"})
		}
		out.Max = last.Max
	}
	return out, ""
}

// kubernetesPortFix tells how a port that is written in v3's form is written in
// Kubernetes'.
func kubernetesPortFix(s string) string {
	first, last, isRange := strings.Cut(s, ":")
	switch {
	case digits(first) && !isRange:
		return "write port: " + first
	case digits(first) && digits(last):
		return "write port: " + first + " and endPort: " + last
	}
	return ""
}

// kubernetesPortName says whether s is what Kubernetes takes for a port's name
// (RFC 6335); portName has been asked before.
func kubernetesPortName(s string) bool {
	return len(s) <= 15 && dnsLabel.MatchString(s) && !strings.Contains(s, "--")
}
