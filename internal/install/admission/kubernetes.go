package admission

import "strings"

// Forms of labels, as Kubernetes has them.
const (
	labelName    = "[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
	labelDomain  = `[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*`
	wordLabelKey = "the key of a label is at most 63 letters, digits, -, _ and ., maybe with a domain and / in front"
	wordLabel    = "the value of a label is at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit"
	wordPrefix   = "a net is written 10.0.0.0/24 or 2001:db8::/64"
)

// stagedKubernetes judges what is in the lists of a StagedKubernetesNetworkPolicy
// (S4), which Kubernetes does not bound.
func stagedKubernetes() policy {
	p := policy{
		name:       "netpol-staged-kubernetes",
		resources:  []string{"stagedkubernetesnetworkpolicies"},
		operations: []string{"CREATE", "UPDATE"},
		conditions: []condition{changed},
		action:     "Deny",
	}
	in, out := orEmpty("object", "spec", "ingress"), orEmpty("object", "spec", "egress")
	p.let("rules", in+" + "+out)
	p.let("peers", in+".map(r, "+orEmpty("r", "from")+").filter(l, size(l) > 0) + "+out+".map(r, "+orEmpty("r", "to")+").filter(l, size(l) > 0)")
	p.let("selectors", "[[object.?spec.?podSelector.orValue({})]] + "+
		"variables.peers.map(l, l.map(p, p.?podSelector.orValue({})) + l.map(p, p.?namespaceSelector.orValue({})))")
	p.kubernetesPeers()
	p.kubernetesSelectors()
	p.kubernetesPorts()
	return p
}

// each adds a validation that no element x of a list of lists is wrong.
func (p *policy) each(list, name, wrong, message string) {
	p.let(name, "variables."+list+".exists(l, l.exists(x, "+wrong+"))")
	p.rules = append(p.rules, validation{Expression: "!variables." + name, Message: message, Reason: invalid})
}

func (p *policy) kubernetesPeers() {
	p.each("peers", "two_kinds", "has(x.ipBlock) && (has(x.podSelector) || has(x.namespaceSelector))", "a peer is an ipBlock or selectors, not both")
	p.each("peers", "no_peer", "!has(x.ipBlock) && !has(x.podSelector) && !has(x.namespaceSelector)", "a peer must have podSelector, namespaceSelector or ipBlock")
	p.let("blocks", "variables.peers.map(l, l.filter(p, has(p.ipBlock) && !has(p.podSelector) && !has(p.namespaceSelector)).map(p, p.ipBlock)).filter(l, size(l) > 0)")
	p.each("blocks", "no_cidr", "x.?cidr.orValue('') == ''", "an ipBlock must have a cidr")
	p.refuse("bad_nets", "variables.blocks.map(l, (l.map(b, b.?cidr.orValue('')).filter(c, c != '') + l.filter(b, "+orEmpty("b", "except")+".exists(n, !isCIDR(n))).map(b, b.except.filter(n, !isCIDR(n))[0]))"+
		".filter(n, !isCIDR(n))).filter(l, size(l) > 0)", firstOf2, wordPrefix)
	p.let("outside", "variables.blocks.map(l, l.filter(b, isCIDR(b.?cidr.orValue('')) && "+orEmpty("b", "except")+
		".exists(n, isCIDR(n) && (!cidr(b.cidr).containsCIDR(n) || cidr(n).prefixLength() <= cidr(b.cidr).prefixLength())))).filter(l, size(l) > 0)")
	p.rules = append(p.rules, validation{
		Expression:        "size(variables.outside) == 0",
		Message:           "an exception must be a part of the net",
		MessageExpression: "'an exception must be a part of the net ' + string(cidr(variables.outside[0][0].cidr).masked())",
		Reason:            invalid,
	})
}

func (p *policy) kubernetesSelectors() {
	p.let("expressions", "variables.selectors.map(l, l.filter(s, has(s.matchExpressions))).filter(l, size(l) > 0).map(l, l.map(s, s.matchExpressions))")
	each := func(name, wrong, message string) {
		p.let(name, "variables.expressions.exists(l, l.exists(m, m.exists(x, "+wrong+")))")
		p.rules = append(p.rules, validation{Expression: "!variables." + name, Message: message, Reason: invalid})
	}
	values := orEmpty("x", "values")
	each("no_key", "x.?key.orValue('') == ''", "an expression must have a key")
	each("no_operator", "!has(x.operator)", "an expression must have an operator")
	each("bad_operator", "has(x.operator) && !(x.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'])", "there is no such operator")
	for _, op := range []string{"In", "NotIn"} {
		each("without_values_"+strings.ToLower(op), "x.?operator.orValue('') == '"+op+"' && size("+values+") == 0", op+" needs values")
	}
	for _, op := range []string{"Exists", "DoesNotExist"} {
		each("with_values_"+strings.ToLower(op), "x.?operator.orValue('') == '"+op+"' && size("+values+") > 0", op+" takes no values")
	}
	key := "matches('^(" + labelDomain + "/)?" + labelName + "$')"
	value := "matches('^(" + labelName + ")?$')"
	each("bad_keys", "x.?key.orValue('') != '' && (!x.key."+key+" || x.key.contains('/') && size(x.key.split('/')[0]) > 253)", wordLabelKey)
	each("bad_values", values+".exists(v, !v."+value+")", wordLabel)
	labels := func(name, wrong, message string) {
		p.let(name, "variables.selectors.exists(l, l.exists(s, has(s.matchLabels) && s.matchLabels.exists(k, "+wrong+")))")
		p.rules = append(p.rules, validation{Expression: "!variables." + name, Message: message, Reason: invalid})
	}
	labels("bad_label_keys", "!k."+key+" || k.contains('/') && size(k.split('/')[0]) > 253", wordLabelKey)
	labels("bad_label_values", "!s.matchLabels[k]."+value, wordLabel)
}

func (p *policy) kubernetesPorts() {
	p.let("ports", "variables.rules.map(r, "+orEmpty("r", "ports")+").filter(l, size(l) > 0)")
	name := strings.ReplaceAll(isPortName, "p.", "x.port.")
	text := "has(x.port) && type(x.port) == string && "
	p.each("ports", "bad_protocols", "has(x.protocol) && !(x.protocol in ['TCP', 'UDP', 'SCTP'])", "the protocol is one of TCP, UDP and SCTP")
	p.each("ports", "end_alone", "has(x.endPort) && !has(x.port)", "endPort needs port")
	p.each("ports", "end_of_name", text+name+" && has(x.endPort)", "endPort does not go together with a port by name")
	p.each("ports", "bad_names", text+name+" && (size(x.port) > 15 || !x.port.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') || x.port.contains('--'))",
		"the name of a port is made of at most 15 lower-case letters, digits and -, with a letter among them")
	p.each("ports", "no_ports", text+"!("+name+")",
		"a port is a number from 1 to 65535 without quotes, or the name of a container's port")
	p.each("ports", "no_port_numbers", "has(x.endPort) && (x.endPort < 1 || x.endPort > 65535) || has(x.port) && type(x.port) == int && (x.port < 1 || x.port > 65535)",
		"a port is from 1 to 65535")
	p.each("ports", "backwards", "has(x.port) && type(x.port) == int && has(x.endPort) && x.endPort < x.port", "the range ends before it begins")
}
