package policy

import (
	"fmt"
	"net/netip"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// peers reads from or to; a peer that is wrong is left out.
func (r *reading) peers(list *node) []Entity {
	var out []Entity
	for i := range list.kids {
		n := &list.kids[i].node
		start := r.mark()
		pods, namespaces, block := n.get("podSelector"), n.get("namespaceSelector"), n.get("ipBlock")
		var e Entity
		switch {
		case block != nil && (pods != nil || namespaces != nil):
			r.fault(block, Fault{Code: CodeExclusive, Reason: "a peer is an ipBlock or selectors, not both", Fix: "make two peers"})
		case block != nil:
			e.Nets, e.NotNets = r.ipBlock(block)
		case pods == nil && namespaces == nil:
			r.fault(n, Fault{Code: CodeRequired, Reason: "a peer must have podSelector, namespaceSelector or ipBlock"})
		default:
			var sel *selector.Selector
			if pods != nil {
				sel = r.labelSelector(pods)
			}
			e.Selector = r.onlyPods(sel, start)
			if namespaces != nil {
				e.NamespaceSelector = r.labelSelector(namespaces)
			}
		}
		if !r.since(start) {
			out = append(out, e)
		}
	}
	return out
}

// onlyPods is the selector of the pods that sel matches. A selector alone would
// match network sets too (S18), which Kubernetes' own policies do not know. mark
// is from before sel was read.
func (r *reading) onlyPods(sel *selector.Selector, mark int) *selector.Selector {
	return r.share(selector.And(podsOnly, sel), mark)
}

var podsOnly = selector.Eq(LabelOrchestrator, "k8s")

// ipBlock reads a net with exceptions. Kubernetes takes nets with bits beyond
// their length and ignores those, so they are no fault here.
func (r *reading) ipBlock(n *node) (nets, except []netip.Prefix) {
	read := func(n *node) netip.Prefix {
		p, err := netip.ParsePrefix(textOf(n))
		if err != nil || p.Addr().Is4In6() {
			r.fault(n, Fault{Code: CodeBadNet, Reason: "a net is written 10.0.0.0/24 or 2001:db8::/64", Fix: netFix(textOf(n))})
			return netip.Prefix{}
		}
		return p.Masked()
	}
	cidr := n.get("cidr")
	if cidr.empty() {
		r.fault(n, Fault{Code: CodeRequired, Reason: "an ipBlock must have a cidr"})
		return nil, nil
	}
	whole := read(cidr)
	list := n.get("except")
	for i := range items(list) {
		p := read(&list.kids[i].node)
		if p.IsValid() && whole.IsValid() && (p.Bits() <= whole.Bits() || !whole.Contains(p.Addr())) {
			r.fault(&list.kids[i].node, Fault{Code: CodeBadNet, Reason: fmt.Sprintf("an exception must be a part of the net %s", whole)})
		}
		except = append(except, p)
	}
	return []netip.Prefix{whole}, except
}
