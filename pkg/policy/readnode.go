package policy

import (
	"net/netip"
	"slices"
	"strings"
)

// readNode reads a v1 Node: its name, labels, IP addresses, the networks of its
// pods, and since when it is there.
func readNode(r *reading) any {
	n := &Node{Name: r.key.Name, Labels: r.dec.shared.set(r.labels(r.root.at("metadata", "labels"))),
		Created: created(r.root.get("metadata")), Origin: r.origin(r.root.line, r.root.col)}
	list := r.root.at("status", "addresses")
	for i := range items(list) {
		switch e := &list.kids[i].node; textOf(e.get("type")) {
		case "InternalIP", "ExternalIP":
			n.Addrs = r.addr(n.Addrs, e.get("address"))
		}
	}
	slices.SortFunc(n.Addrs, netip.Addr.Compare)
	n.Addrs = slices.Compact(n.Addrs)
	n.PodCIDRs = r.podCIDRs(r.root.get("spec"))
	return n
}

// podCIDRs are a node's podCIDRs; podCIDR is the first of them, as clusters of
// one family had it.
func (r *reading) podCIDRs(spec *node) (out []netip.Prefix) {
	list := []*node{spec.get("podCIDR")}
	cidrs := spec.get("podCIDRs")
	for i := range items(cidrs) {
		list = append(list, &cidrs.kids[i].node)
	}
	for _, n := range list {
		s := textOf(n)
		if s == "" {
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			r.fault(n, Fault{Code: CodeBadNet, Reason: "a net is written 10.244.1.0/24 or fd00:10:1::/64"})
			continue
		}
		out = append(out, p.Masked())
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return slices.Compact(out)
}

// localDNS are the addresses that a node-local DNS cache binds on its node:
// the argument -localip of node-cache, a list with commas. The cluster address
// of the DNS Service is mostly one of them. What is no address (a template's
// placeholder) is left out.
func localDNS(pod *node) []netip.Addr {
	var out []netip.Addr
	containers := pod.get("containers")
	for i := range items(containers) {
		var words []string
		for _, field := range []string{"command", "args"} {
			list := containers.kids[i].get(field)
			for j := range items(list) {
				words = append(words, textOf(&list.kids[j].node))
			}
		}
		for j, w := range words {
			name, value, ok := strings.Cut(w, "=")
			if strings.TrimLeft(name, "-") != "localip" || !strings.HasPrefix(name, "-") {
				continue
			}
			if !ok && j+1 < len(words) {
				value = words[j+1]
			}
			for _, s := range strings.Split(value, ",") {
				if a, err := netip.ParseAddr(strings.TrimSpace(s)); err == nil && a.Zone() == "" {
					out = append(out, a.Unmap())
				}
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return slices.Compact(out)
}
