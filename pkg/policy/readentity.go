package policy

import (
	"fmt"
	"net/netip"
	"regexp"
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
	e.ServiceAccounts = r.accounts(n.get("serviceAccounts"))
	e.Service = r.service(n.get("services"), dir, dest)
	if r.since(start) {
		// These depend on each other: without a namespaceSelector a selector is
		// of the policy's own namespace only (S16). Dropping one could narrow.
		*e = Entity{}
	}
	e.Nets = r.nets(n.get("nets"))
	e.NotNets = r.nets(n.get("notNets"))
	for i, p := range e.NotNets {
		if p.Bits() == 0 {
			r.fault(&n.get("notNets").kids[i].node, Fault{Code: CodeNetCatchAll, Reason: "nothing is outside this net, so the rule would match nothing"})
		}
	}
	e.Ports, e.NamedPorts = r.ports(n.get("ports"))
	e.NotPorts, e.NotNamedPorts = r.ports(n.get("notPorts"))
	if s := n.get("services"); s != nil && r.besideService(n, dest) {
		*e = Entity{} // any of them may be what was meant
	}
}

func (e *Entity) dropPorts() {
	e.Ports, e.NotPorts, e.NamedPorts, e.NotNamedPorts = nil, nil, nil, nil
}

func (e *Entity) dropNets() { e.Nets, e.NotNets = nil, nil }

// nets reads a list of nets; nil, with faults, if one of them is wrong.
func (r *reading) nets(n *node) []netip.Prefix {
	list := items(n)
	if len(list) == 0 {
		return nil
	}
	start := r.mark()
	if len(list) > maxNets {
		r.fault(n, Fault{Code: CodeOutOfBounds, Value: strconv.Itoa(len(list)), Reason: fmt.Sprintf("more than %d nets in one list", maxNets)})
	}
	nets := make([]netip.Prefix, 0, len(list))
	for i := range list {
		item := &list[i].node
		p, err := parseNet(item.text)
		switch {
		case item.kind != isString:
			r.wrongType(item, isString)
		case err != nil:
			r.fault(item, Fault{Code: CodeBadNet, Reason: "a net is written 10.0.0.0/24 or 2001:db8::/64"})
		case p != p.Masked():
			r.fault(item, Fault{Code: CodeUnmaskedNet, Reason: "the net has bits set beyond its length", Fix: "write " + p.Masked().String()})
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

// ports reads a list of ports, numbers and names apart; nil, with faults, if
// one of them is wrong.
func (r *reading) ports(n *node) (ports []PortRange, names []string) {
	list := items(n)
	if len(list) == 0 {
		return nil, nil
	}
	start := r.mark()
	if len(list) > maxPorts {
		r.fault(n, Fault{Code: CodeOutOfBounds, Value: strconv.Itoa(len(list)), Reason: fmt.Sprintf("more than %d ports in one list", maxPorts)})
	}
	for i := range list {
		item := &list[i].node
		if item.kind == isString && portName(item.text) {
			names = append(names, r.dec.shared.str(item.text))
		} else {
			ports = append(ports, r.port(item))
		}
	}
	if r.since(start) {
		return nil, nil
	}
	return ports, names
}

// port reads 80, "80" or "80:90".
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
		r.fault(n, Fault{Code: CodeBadPort, Reason: "a port is a number from 1 to 65535, a range like 8000:8080, or the name of a container's port"})
	case first < 1 || first > 65535 || last < 1 || last > 65535:
		r.fault(n, Fault{Code: CodeBadPort, Reason: "a port is from 1 to 65535"})
	case first > last:
		r.fault(n, Fault{Code: CodeBadPort, Reason: "the range ends before it begins", Fix: fmt.Sprintf("write %d:%d", last, first)})
	default:
		return PortRange{uint16(first), uint16(last)}
	}
	return PortRange{}
}

var portNameForm = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)

// portName says whether s could be the name of a port. The API takes any
// spelling; one without a letter is rather a slip ("80-90").
func portName(s string) bool {
	return portNameForm.MatchString(s) && strings.ContainsAny(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz")
}
