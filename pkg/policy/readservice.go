package policy

import (
	"net/netip"
	"strconv"
	"strings"
)

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
		n := &ports.kids[i].node
		p := ServicePort{
			Name:     r.dec.shared.str(textOf(n.get("name"))),
			Protocol: r.protocolOr(n, TCP),
			Port:     r.portNumber(n.get("port")),
			NodePort: r.portNumber(n.get("nodePort")),
		}
		if t := n.get("targetPort"); t != nil && t.kind == isString && !digits(t.text) {
			p.TargetName = r.dec.shared.str(t.text)
		} else if t != nil && t.kind == isString {
			v, _ := strconv.ParseUint(t.text, 10, 16)
			p.TargetPort = uint16(v)
		} else {
			p.TargetPort = r.portNumber(t)
		}
		if p.TargetPort == 0 && p.TargetName == "" {
			p.TargetPort = p.Port
		}
		s.Ports = append(s.Ports, p)
	}
	if r.since(0) {
		return nil
	}
	return s
}

func (r *reading) serviceAddr(to []netip.Addr, n *node) []netip.Addr {
	if textOf(n) == "None" {
		return to
	}
	return r.addr(to, n)
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
