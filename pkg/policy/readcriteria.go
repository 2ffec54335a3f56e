package policy

import (
	"fmt"
	"strconv"
)

// icmp reads the criteria on ICMP's type and code (S22). One with faults is
// left out, which makes the rule match more. protoKnown is false where the
// rule's protocol is at fault itself.
func (r *policyReader) icmp(n *node, out *Rule, protoKnown bool) {
	for _, c := range []struct {
		field string
		to    **ICMPMatch
	}{{"icmp", &out.ICMP}, {"notICMP", &out.NotICMP}} {
		f := n.get(c.field)
		if f == nil || f.kind != isMap {
			continue // a fault of check, if it is one
		}
		start := r.mark()
		m := r.icmpMatch(f, c.field)
		if protoKnown && !out.Protocol.HasTypes() {
			reason := c.field + " needs a rule with protocol ICMP or ICMPv6"
			if out.Protocol != 0 {
				reason += ", this one has " + out.Protocol.String()
			}
			r.fault(f, Fault{Code: CodeICMPProtocol, Reason: reason, Fix: "add protocol: ICMP to the rule"})
		}
		if !r.since(start) && out.Protocol.HasTypes() {
			*c.to = m
		}
	}
}

func (r *policyReader) icmpMatch(n *node, field string) *ICMPMatch {
	typ, code := n.get("type"), n.get("code")
	switch {
	case typ == nil && code != nil:
		r.fault(code, Fault{Code: CodeBadICMP, Reason: "a code needs a type, since its meaning depends on it", Fix: "add " + field + ".type"})
		return nil
	case typ == nil && field == "notICMP":
		r.fault(n, Fault{Code: CodeBadICMP, Reason: "notICMP must have a type", Fix: "add notICMP.type"})
		return nil
	case typ == nil:
		return nil // icmp: {} asks for nothing
	}
	m := &ICMPMatch{Type: uint8(r.small(typ, 254)), Code: AnyCode}
	if code != nil {
		m.Code = r.small(code, 255)
	}
	return m
}

// small reads a number from 0 to most.
func (r *reading) small(n *node, most int) int {
	if n.kind != isNumber {
		return 0 // a fault of check
	}
	v, err := strconv.Atoi(n.text)
	if err != nil || v < 0 || v > most {
		r.fault(n, Fault{Code: CodeBadICMP, Reason: fmt.Sprintf("expected a number from 0 to %d", most)})
		return 0
	}
	return v
}

// accounts reads serviceAccounts (S19); nil if it is not given or wrong.
func (r *policyReader) accounts(n *node) *ServiceAccountMatch {
	if n == nil || n.kind != isMap {
		return nil
	}
	m := &ServiceAccountMatch{Selector: r.selector(n.get("selector"), false)}
	names := n.get("names")
	for i := range items(names) {
		item := &names.kids[i].node
		if item.kind == isString {
			r.checkName(item, maxName, subdomain)
		}
		m.Names = append(m.Names, r.dec.shared.str(textOf(item)))
	}
	if m.Selector == nil && len(m.Names) == 0 && n.get("selector").empty() {
		r.fault(n, Fault{Code: CodeRequired, Reason: "serviceAccounts must have names or a selector", Fix: "write selector: all() for all accounts"})
	}
	return m
}

// service reads services (S20); nil if it is not given or wrong.
func (r *policyReader) service(n *node, dir Direction, dest bool) *ServiceRef {
	if n == nil || n.kind != isMap {
		return nil
	}
	name, ns := n.get("name"), n.get("namespace")
	switch {
	case dest && dir == Ingress:
		r.fault(n, Fault{Code: CodeNotHere, Reason: "destination.services is for egress rules"})
		return nil
	case !dest && dir == Egress:
		r.fault(n, Fault{Code: CodeNotHere, Reason: "source.services is for ingress rules"})
		return nil
	case name.empty():
		r.fault(n, Fault{Code: CodeRequired, Reason: "services must have the name of a Service", Fix: "add services.name"})
	case ns.empty() && r.key.Namespace == "":
		r.fault(n, Fault{Code: CodeRequired, Reason: "in a global policy services must say the Service's namespace", Fix: "add services.namespace"})
	}
	ref := &ServiceRef{Namespace: r.key.Namespace, Name: r.dec.shared.str(textOf(name))}
	if !name.empty() && name.kind == isString {
		r.checkName(name, maxNamespace, dnsLabel)
	}
	if !ns.empty() && ns.kind == isString {
		r.checkName(ns, maxNamespace, dnsLabel)
		ref.Namespace = r.dec.shared.str(ns.text)
	}
	return ref
}

// besideService faults criteria that do not go together with services (S20).
func (r *policyReader) besideService(n *node, dest bool) bool {
	others := []string{"selector", "notSelector", "namespaceSelector", "serviceAccounts", "nets", "notNets"}
	if dest {
		others = append(others, "ports", "notPorts")
	}
	start := r.mark()
	for _, f := range others {
		if o := n.get(f); !o.empty() {
			r.fault(o, Fault{Code: CodeExclusive, Value: showAny(o), Reason: f + " does not go together with services", Fix: "make two rules, or remove one of them"})
		}
	}
	return r.since(start)
}

// showAny is a scalar or a list as an error quotes it.
func showAny(n *node) string {
	if n.kind == isList {
		return showList(n)
	}
	return n.show()
}
