package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
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

var httpMethods = []string{"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}

// http reads the criteria on HTTP (S24): they are for Allow rules for ingress
// over TCP. What is right gets a warning, since it allows nothing here.
func (r *policyReader) http(n *node, dir Direction, out *Rule) {
	f := n.get("http")
	if f == nil || f.kind != isMap {
		return
	}
	start := r.mark()
	switch {
	case out.Action != Allow && out.Action != 0:
		r.fault(f, Fault{Code: CodeNotHere, Reason: "http is for rules with action Allow, this one has " + out.Action.String()})
	case dir != Ingress:
		r.fault(f, Fault{Code: CodeNotHere, Reason: "http is for ingress rules"})
	case out.Protocol != 0 && out.Protocol != TCP, out.NotProtocol == TCP:
		r.fault(f, Fault{Code: CodeNotHere, Reason: "http needs protocol TCP"})
	}
	m := &HTTPMatch{}
	methods, paths := f.get("methods"), f.get("paths")
	for i := range items(methods) {
		if s := r.httpMethod(&methods.kids[i].node); s != "" {
			m.Methods = append(m.Methods, s)
		}
	}
	for i := range items(paths) {
		m.Paths = append(m.Paths, r.httpPath(&paths.kids[i].node))
	}
	if r.since(start) {
		return
	}
	out.HTTP = m
	r.fault(f, Fault{Code: CodeUnsupported, Unsupported: true, Warning: true,
		Reason: "HTTP is not judged where packets are, so this rule allows nothing",
		Fix:    "remove http if everything on this port may be allowed"})
}

func (r *policyReader) httpMethod(n *node) string {
	switch {
	case n.kind != isString:
		return ""
	case n.text == "*" || slices.Contains(httpMethods, n.text):
		return r.dec.shared.str(n.text)
	}
	r.fault(n, Fault{Code: CodeBadHTTP, Reason: "there is no such HTTP method", Fix: fixOf(nearest(n.text, httpMethods))})
	return ""
}

func (r *policyReader) httpPath(n *node) HTTPPath {
	exact, prefix := n.get("exact"), n.get("prefix")
	path := textOf(exact) + textOf(prefix)
	switch {
	case n.kind != isMap:
	case !exact.empty() && !prefix.empty():
		r.fault(n, Fault{Code: CodeBadHTTP, Reason: "a path is exact or a prefix, not both", Fix: "make two paths"})
	case path == "":
		r.fault(n, Fault{Code: CodeBadHTTP, Reason: "a path must say exact or prefix"})
	case path[0] != '/' || strings.ContainsAny(path, "?# \t\n"):
		at := exact
		if exact.empty() {
			at = prefix
		}
		r.fault(at, Fault{Code: CodeBadHTTP, Reason: "a path begins with / and has no query, fragment or space"})
	}
	return HTTPPath{Exact: strings.Clone(textOf(exact)), Prefix: strings.Clone(textOf(prefix))}
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

// hostFields reads what is about host endpoints (S30).
func (r *policyReader) hostFields() {
	p := r.pol
	p.DoNotTrack, p.PreDNAT = isTrue(r.spec.get("doNotTrack")), isTrue(r.spec.get("preDNAT"))
	p.ApplyOnForward = isTrue(r.spec.get("applyOnForward"))
	if p.DoNotTrack && p.PreDNAT {
		r.fault(r.spec.get("preDNAT"), Fault{Code: CodeExclusive, Reason: "a policy has preDNAT or doNotTrack, not both", Fix: "make two policies"})
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"doNotTrack", p.DoNotTrack}, {"preDNAT", p.PreDNAT}} {
		switch n := r.spec.get(f.name); {
		case !f.set:
		case !p.ApplyOnForward:
			r.fault(n, Fault{Code: CodeRequired, Reason: f.name + " needs applyOnForward", Fix: "add applyOnForward: true"})
		default:
			r.fault(n, Fault{Code: CodeUnsupported, Unsupported: true, Warning: true,
				Reason: "the policy is for host endpoints only, which netpol does not enforce"})
		}
	}
	if !p.PreDNAT {
		return
	}
	if n := r.spec.get("egress"); !n.empty() {
		r.fault(n, Fault{Code: CodeNotHere, Value: "", Reason: "a policy with preDNAT has ingress rules only", Fix: "remove egress"})
	}
	for i := range items(r.spec.get("types")) {
		if t := &r.spec.get("types").kids[i].node; t.text == "Egress" {
			r.fault(t, Fault{Code: CodeNotHere, Reason: "a policy with preDNAT is for ingress only", Fix: "remove the type"})
		}
	}
}
