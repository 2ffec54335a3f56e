package policy

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Of sets, host endpoints and service accounts with faults what could be read
// is kept, as of pods: there are rules that allow by them and rules that deny
// by them, so that leaving them out whole is no closer to what was meant.

// readNetworkSet reads a set of either kind (S18).
func readNetworkSet(r *reading) any {
	spec := r.root.get("spec")
	r.check(spec, r.schema.field("spec"))
	own := append(r.notPods(), label{LabelName, r.key.Name})
	if r.key.Kind == KindNetworkSet {
		own = append(own, label{LabelNamespace, r.key.Namespace})
	}
	s := &NetworkSet{Key: r.key, Labels: r.dec.shared.set(own), Origin: r.origin(r.root.line, r.root.col)}
	list := items(spec.get("nets"))
	if len(list) > 0 {
		s.Nets = make([]netip.Prefix, 0, len(list))
	}
	for i := range list {
		if p := r.net(&list[i].node); p.IsValid() {
			s.Nets = append(s.Nets, p.Masked())
		}
	}
	slices.SortFunc(s.Nets, netip.Prefix.Compare)
	s.Nets = slices.Compact(s.Nets)
	return s
}

// notPods are the labels of what is no pod, without those that S15 gives to
// pods: by them policies that speak of pods only would take it for one.
func (r *reading) notPods() []label {
	return slices.DeleteFunc(r.labels(r.root.at("metadata", "labels")), func(l label) bool {
		return l.key == LabelOrchestrator || l.key == LabelServiceAccount
	})
}

var interfaceName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,15}$`)

// readHostEndpoint reads a host endpoint (S30).
func readHostEndpoint(r *reading) any {
	spec := r.root.get("spec")
	r.check(spec, r.schema.field("spec"))
	h := &HostEndpoint{
		Name:      r.key.Name,
		Node:      r.dec.shared.str(textOf(spec.get("node"))),
		Interface: r.dec.shared.str(textOf(spec.get("interfaceName"))),
		Labels:    r.dec.shared.set(r.notPods()),
		Origin:    r.origin(r.root.line, r.root.col),
	}
	addrs, profiles, ports := spec.get("expectedIPs"), spec.get("profiles"), spec.get("ports")
	for i := range items(addrs) {
		h.Addrs = r.addr(h.Addrs, &addrs.kids[i].node)
	}
	for i := range items(profiles) {
		h.Profiles = append(h.Profiles, r.dec.shared.str(textOf(&profiles.kids[i].node)))
	}
	for i := range items(ports) {
		h.Ports = r.hostPort(h.Ports, &ports.kids[i].node)
	}
	switch n := spec.get("interfaceName"); {
	case h.Interface != "" && h.Interface != "*" && !interfaceName.MatchString(h.Interface):
		r.fault(n, Fault{Code: CodeBadName, Reason: "an interface's name has at most 15 letters, digits, _, . and -; * means all"})
	case n.empty() && len(items(addrs)) == 0:
		r.fault(r.root, Fault{Code: CodeRequired, Field: "spec.interfaceName", Reason: "a host endpoint must have an interface or expected addresses",
			Fix: "add interfaceName or expectedIPs"})
	}
	if spec.get("node").empty() {
		r.fault(r.root, Fault{Code: CodeRequired, Field: "spec.node", Reason: "a host endpoint must say its node", Fix: "add node"})
	}
	r.fault(r.root.get("kind"), Fault{Code: CodeUnsupported, Unsupported: true, Warning: true,
		Reason: "it is a peer in rules by its expectedIPs, but netpol enforces no policy on it"})
	return h
}

func (r *reading) hostPort(to []ContainerPort, n *node) []ContainerPort {
	if n.kind != isMap {
		return to
	}
	start := r.mark()
	name := n.get("name")
	p := ContainerPort{Name: r.dec.shared.str(textOf(name)), Protocol: r.protocol(n.get("protocol")), Port: r.portNumber(n.get("port"))}
	switch {
	case name.empty():
		r.fault(n, Fault{Code: CodeRequired, Field: pathOf(r.root, n) + ".name", Reason: "the port has no name"})
	case !portName(p.Name):
		r.fault(name, Fault{Code: CodeBadName, Reason: "the name of a port is made of letters, digits, _, . and -, with a letter among them"})
	}
	for _, f := range []string{"protocol", "port"} {
		if n.get(f) == nil {
			r.fault(n, Fault{Code: CodeRequired, Field: pathOf(r.root, n) + "." + f, Reason: "the port has no " + f})
		}
	}
	if r.since(start) {
		return to
	}
	return append(to, p)
}

// readServiceAccount reads a service account (S19). Like a namespace, it can be
// matched by its name.
func readServiceAccount(r *reading) any {
	own := r.labels(r.root.at("metadata", "labels"))
	return &ServiceAccount{
		Namespace: r.key.Namespace,
		Name:      r.key.Name,
		Labels:    r.dec.shared.set(append(own, label{LabelName, r.key.Name})),
		Origin:    r.origin(r.root.line, r.root.col),
	}
}

// net reads a net; the zero Prefix, with a fault, if it is wrong. One with
// bits beyond its length is a fault and yet a net.
func (r *reading) net(item *node) netip.Prefix {
	if item.kind != isString {
		r.wrongType(item, isString)
		return netip.Prefix{}
	}
	p, err := parseNet(item.text)
	switch {
	case err != nil:
		r.fault(item, Fault{Code: CodeBadNet, Reason: "a net is written 10.0.0.0/24 or 2001:db8::/64", Fix: netFix(item.text)})
		return netip.Prefix{}
	case p != p.Masked():
		r.fault(item, Fault{Code: CodeUnmaskedNet, Reason: "the net has bits set beyond its length", Fix: "write " + p.Masked().String()})
	}
	return p
}

// netFix guesses what a wrong net was meant to be.
func netFix(s string) string {
	if p, err := parseNet(strings.TrimSpace(s)); err == nil {
		return "write " + p.Masked().String()
	}
	addr, bits, _ := strings.Cut(s, "/")
	if a, err := netip.ParseAddr(addr); err == nil && a.Is4In6() && bits != "" {
		return "write it in IPv4 form"
	}
	return ""
}
