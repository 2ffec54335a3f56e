package policy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

var actions = []string{"Allow", "Deny", "Pass", "Log"}

// nothing matches no connection. It stands in for a rule so that the rules
// after it keep their numbers.
func nothing(a Action) Rule {
	return Rule{Action: a, Source: Entity{Selector: selector.Not(nil)}, Faulty: true}
}

// rule reads one rule; see policyReader for what becomes of a faulty one.
func (r *policyReader) rule(n *node, s *schema, dir Direction) Rule {
	start, found := r.mark(), len(r.faults)
	r.checkRule(n, s)
	if slices.ContainsFunc(r.faults[found:], func(f Fault) bool { return f.Reason == givenTwice }) {
		return r.ruleTwice(n)
	}
	out := Rule{Action: r.action(n)}
	out.IPVersion = r.ipVersion(n.get("ipVersion"))
	protoStart := r.mark()
	out.Protocol = r.protocol(n.get("protocol"))
	out.NotProtocol = r.protocol(n.get("notProtocol"))
	protoKnown := !r.since(protoStart)
	r.icmp(n, &out, protoKnown)
	r.entity(n.get("source"), dir, false, &out.Source)
	r.entity(n.get("destination"), dir, true, &out.Destination)
	r.families(n, &out)
	if protoKnown {
		r.portsNeedProtocol(n, out.Protocol)
	}
	if !out.Protocol.HasPorts() {
		out.Source.dropPorts()
		out.Destination.dropPorts()
	}
	r.http(n, dir, &out)
	if !r.broken && !r.since(start) {
		return out
	}
	switch out.Action {
	case Allow, Log:
		return nothing(out.Action)
	}
	out.Action = Deny
	return out
}

// ruleTwice stands in for a rule with a field that is given twice: each of the
// two may be what was meant.
func (r *policyReader) ruleTwice(n *node) Rule {
	allows := n.get("action") != nil
	for i := range n.kids {
		e := &n.kids[i]
		allows = allows && (e.key != "action" || e.text == "Allow" || e.text == "Log")
	}
	if allows {
		return nothing(Allow)
	}
	return Rule{Action: Deny}
}

func (r *policyReader) action(n *node) Action {
	a := n.get("action")
	if a.empty() {
		if n.kind == isMap {
			r.fault(n, Fault{Code: CodeRequired, Field: pathOf(r.root, n) + ".action", Reason: "a rule must say its action", Fix: didYouMean("", actions)})
		}
		return 0
	}
	for i, name := range actionNames {
		if i > 0 && a.text == name {
			return Action(i)
		}
	}
	if a.kind == isString {
		r.fault(a, Fault{Code: CodeUnknownValue, Reason: "there is no such action", Fix: didYouMean(a.text, actions)})
	}
	return 0
}

func (r *policyReader) ipVersion(n *node) uint8 {
	switch {
	case n == nil, n.kind != isNumber:
		return 0
	case n.text == "4":
		return 4
	case n.text == "6":
		return 6
	}
	r.fault(n, Fault{Code: CodeUnknownValue, Reason: "an IP version is 4 or 6"})
	return 0
}

var protocolsByName = []Protocol{TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite}

// protocol reads a name (in any case, as Calico does) or a number from 1 to 255.
func (r *reading) protocol(n *node) Protocol {
	if n == nil || n.kind != isMap && n.kind != isList && n.empty() {
		return 0
	}
	if n.kind == isNumber || n.kind == isString {
		if v, err := strconv.ParseUint(n.text, 10, 8); err == nil && v > 0 {
			return Protocol(v)
		}
		for _, p := range protocolsByName {
			if strings.EqualFold(n.text, p.String()) {
				return p
			}
		}
	}
	var names []string
	for _, p := range protocolsByName {
		names = append(names, p.String())
	}
	r.fault(n, Fault{Code: CodeBadProtocol, Reason: "a protocol is one of " + strings.Join(names, ", ") + " or a number from 1 to 255",
		Fix: fixOf(nearest(n.text, names))})
	return 0
}

func fixOf(name string) string {
	if name == "" {
		return ""
	}
	return "did you mean " + name + "?"
}

// portsNeedProtocol faults ports beside a protocol that has none (S22).
func (r *policyReader) portsNeedProtocol(n *node, p Protocol) {
	if p.HasPorts() {
		return
	}
	for _, side := range []string{"source", "destination"} {
		for _, f := range []string{"ports", "notPorts"} {
			ports := n.at(side, f)
			if ports.empty() {
				continue
			}
			reason := "ports need a rule with protocol TCP, UDP or SCTP"
			if p != 0 {
				reason += ", this one has " + p.String()
			}
			r.fault(ports, Fault{Code: CodePortProtocol, Value: showList(ports), Reason: reason, Fix: "add protocol: TCP to the rule"})
		}
	}
}

// showList is a list as an error quotes it.
func showList(n *node) string {
	var parts []string
	for i := range items(n) {
		parts = append(parts, n.kids[i].text)
	}
	return shorten(strings.Join(parts, ", "))
}

// families faults nets of both families in one rule, and of another family
// than the rule's own: such a rule matches nothing (S23). Nets and version are
// left out then, since any of them may be what was not meant.
func (r *policyReader) families(n *node, out *Rule) {
	want, start := out.IPVersion, r.mark()
	for _, side := range []string{"source", "destination"} {
		for _, f := range []string{"nets", "notNets"} {
			list := n.at(side, f)
			for i := range items(list) {
				net := &list.kids[i].node
				p, _ := parseNet(net.text)
				if !p.IsValid() {
					continue
				}
				v := uint8(6)
				if p.Addr().Is4() {
					v = 4
				}
				switch {
				case want == 0:
					want = v
				case want != v && out.IPVersion != 0:
					r.fault(net, Fault{Code: CodeMixedFamilies, Reason: "the net is not of the rule's ipVersion " + strconv.Itoa(int(want))})
				case want != v:
					r.fault(net, Fault{Code: CodeMixedFamilies, Reason: "a rule's nets must be all IPv4 or all IPv6", Fix: "make a rule of its own for each family"})
				}
			}
		}
	}
	if r.since(start) {
		out.IPVersion = 0
		out.Source.dropNets()
		out.Destination.dropNets()
	}
}
