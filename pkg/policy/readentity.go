package policy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// entity reads one side of a rule. Criteria with faults are left out, which
// makes the rule match more; rule decides whether that may stand.
func (r *policyReader) entity(n *node, dir Direction, dest bool, e *Entity) {
	if n == nil {
		return
	}
	start := r.mark()
	r.check(n, r.specs.field("ingress", "source"))
	e.Selector = r.selector(n.get("selector"), false)
	e.NotSelector = r.selector(n.get("notSelector"), false)
	e.NamespaceSelector = r.selector(n.get("namespaceSelector"), true)
	r.services(n.get("services"), dir, dest)
	if f := n.get("serviceAccounts"); f != nil {
		r.unsupported(f, "a match on service accounts")
	}
	if r.since(start) {
		// These depend on each other: without a namespaceSelector a selector is
		// of the policy's own namespace only (S16). Dropping one could narrow.
		e.Selector, e.NotSelector, e.NamespaceSelector = nil, nil, nil
	}
	e.Nets = r.nets(n.get("nets"))
	e.NotNets = r.nets(n.get("notNets"))
	for i, p := range e.NotNets {
		if p.Bits() == 0 {
			r.fault(&n.get("notNets").kids[i].node, Fault{Reason: "nothing is outside this net, so the rule would match nothing"})
		}
	}
	if dest {
		e.Ports = r.ports(n.get("ports"))
		e.NotPorts = r.ports(n.get("notPorts"))
		return
	}
	for _, f := range []string{"ports", "notPorts"} {
		if p := n.get(f); !p.empty() {
			r.fault(p, Fault{Value: showList(p), Unsupported: true, Reason: "a match on source ports can't be judged by netpol yet"})
		}
	}
}

func (r *policyReader) services(n *node, dir Direction, dest bool) {
	switch {
	case n == nil:
	case dest && dir == Ingress:
		r.fault(n, Fault{Reason: "destination.services is for egress rules"})
	case !dest && dir == Egress:
		r.fault(n, Fault{Reason: "source.services is for ingress rules"})
	default:
		r.unsupported(n, "a match on services")
	}
}

// nets reads a list of nets; nil, with faults, if one of them is wrong.
func (r *reading) nets(n *node) []netip.Prefix {
	list := items(n)
	if len(list) == 0 {
		return nil
	}
	start := r.mark()
	if len(list) > maxNets {
		r.fault(n, Fault{Value: strconv.Itoa(len(list)), Reason: fmt.Sprintf("more than %d nets in one list", maxNets)})
	}
	nets := make([]netip.Prefix, 0, len(list))
	for i := range list {
		item := &list[i].node
		p, err := parseNet(item.text)
		switch {
		case item.kind != isString:
			r.wrongType(item, isString)
		case err != nil:
			r.fault(item, Fault{Reason: "a net is written 10.0.0.0/24 or 2001:db8::/64"})
		case p != p.Masked():
			r.fault(item, Fault{Reason: "the net has bits set beyond its length", Fix: "write " + p.Masked().String()})
		}
		nets = append(nets, p)
	}
	if r.since(start) {
		return nil
	}
	return nets
}

// parseNet reads a net; an address alone is the net of just that address.
func parseNet(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is no address", s)
		}
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err == nil && p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4 address in IPv6 form", s)
	}
	return p, err
}

// ports reads a list of ports; nil, with faults, if one of them is wrong.
func (r *reading) ports(n *node) []PortRange {
	list := items(n)
	if len(list) == 0 {
		return nil
	}
	start := r.mark()
	if len(list) > maxPorts {
		r.fault(n, Fault{Value: strconv.Itoa(len(list)), Reason: fmt.Sprintf("more than %d ports in one list", maxPorts)})
	}
	ports := make([]PortRange, 0, len(list))
	for i := range list {
		ports = append(ports, r.port(&list[i].node))
	}
	if r.since(start) {
		return nil
	}
	return ports
}

// port reads 80, "80", "80:90", or refuses a name.
func (r *reading) port(n *node) PortRange {
	if n.kind != isNumber && n.kind != isString {
		r.wrongType(n, isNumber)
		return PortRange{}
	}
	lo, hi, isRange := strings.Cut(n.text, ":")
	if !isRange {
		hi = lo
	}
	first, err1 := strconv.Atoi(lo)
	last, err2 := strconv.Atoi(hi)
	switch {
	case err1 != nil || err2 != nil:
		if n.kind == isString && !isRange && portName(n.text) {
			r.unsupported(n, "a port given by name")
			break
		}
		r.fault(n, Fault{Reason: "a port is a number from 1 to 65535 or a range like 8000:8080"})
	case first < 1 || first > 65535 || last < 1 || last > 65535:
		r.fault(n, Fault{Reason: "a port is from 1 to 65535"})
	case first > last:
		r.fault(n, Fault{Reason: "the range ends before it begins", Fix: fmt.Sprintf("write %d:%d", last, first)})
	default:
		return PortRange{uint16(first), uint16(last)}
	}
	return PortRange{}
}

// portName says whether s could be the name of a container port.
func portName(s string) bool {
	return len(s) <= 63 && dnsLabel.MatchString(strings.ToLower(s)) && strings.ContainsAny(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz")
}
