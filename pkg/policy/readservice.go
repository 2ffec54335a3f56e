package policy

import (
	"net/netip"
	"strconv"
	"strings"
)

// readService reads a Service. Like of pods, what could be read is kept: without
// the Service a Deny by its name would hold for nothing.
func readService(r *reading) any {
	spec := r.root.get("spec")
	s := &Service{Namespace: r.key.Namespace, Name: r.key.Name, Origin: r.origin(r.root.line, r.root.col)}
	if own := r.labels(spec.get("selector")); len(own) > 0 {
		s.Selector = r.dec.shared.set(own)
	}
	list := spec.get("clusterIPs")
	for i := range items(list) {
		s.Addrs = r.serviceAddr(s.Addrs, &list.kids[i].node)
	}
	if len(s.Addrs) == 0 {
		s.Addrs = r.serviceAddr(s.Addrs, spec.get("clusterIP"))
	}
	ports := spec.get("ports")
	for i := range items(ports) {
		start := r.mark()
		if p := r.servicePort(&ports.kids[i].node); !r.since(start) {
			s.Ports = append(s.Ports, p)
		}
	}
	return s
}

func (r *reading) servicePort(n *node) ServicePort {
	p := ServicePort{
		Name:     r.dec.shared.str(textOf(n.get("name"))),
		Protocol: r.protocolOr(n, TCP),
		Port:     r.portNumber(n.get("port")),
		NodePort: r.portOrNone(n.get("nodePort")),
	}
	switch t := n.get("targetPort"); {
	case t == nil || t.kind != isString:
		p.TargetPort = r.portOrNone(t)
	case !digits(t.text):
		p.TargetName = r.dec.shared.str(t.text)
	default:
		v, err := strconv.ParseUint(t.text, 10, 16)
		if err != nil || v == 0 {
			r.fault(t, Fault{Code: CodeBadPort, Reason: "a port is a number from 1 to 65535"})
		}
		p.TargetPort = uint16(v)
	}
	if p.TargetPort == 0 && p.TargetName == "" {
		p.TargetPort = p.Port
	}
	return p
}

// portOrNone is a port of which Kubernetes takes 0 for none.
func (r *reading) portOrNone(n *node) uint16 {
	if n != nil && n.kind == isNumber && n.text == "0" {
		return 0
	}
	return r.portNumber(n)
}

func (r *reading) serviceAddr(to []netip.Addr, n *node) []netip.Addr {
	if textOf(n) == "None" {
		return to
	}
	return r.addr(to, n)
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
