package policy

import (
	"slices"
	"strings"
)

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
