package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

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
			e.Selector = onlyPods(sel)
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
// match network sets too (S18), which Kubernetes' own policies do not know.
func onlyPods(sel *selector.Selector) *selector.Selector {
	return selector.And(podsOnly, sel)
}

var podsOnly = selector.Eq(LabelOrchestrator, "k8s")

// ipBlock reads a net with exceptions. Kubernetes takes nets with bits beyond
// their length and ignores those, so they are no fault here.
func (r *reading) ipBlock(n *node) (nets, except []netip.Prefix) {
	read := func(n *node) netip.Prefix {
		p, err := netip.ParsePrefix(textOf(n))
		if err != nil {
			r.fault(n, Fault{Code: CodeBadNet, Reason: "a net is written 10.0.0.0/24 or 2001:db8::/64"})
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

var labelOperators = []string{"In", "NotIn", "Exists", "DoesNotExist"}

// labelSelector turns matchLabels and matchExpressions into a selector; {} is
// all(). Labels are sorted.
func (r *reading) labelSelector(n *node) *selector.Selector {
	var parts []*selector.Selector
	list := slices.Clone(r.labels(n.get("matchLabels")))
	slices.SortFunc(list, func(a, b label) int { return strings.Compare(a.key, b.key) })
	for _, l := range list {
		parts = append(parts, selector.Eq(l.key, l.value))
	}
	exprs := n.get("matchExpressions")
	for i := range items(exprs) {
		e := &exprs.kids[i].node
		key, op, list := textOf(e.get("key")), e.get("operator"), e.get("values")
		var values []string
		for j := range items(list) {
			values = append(values, textOf(&list.kids[j].node))
		}
		if key == "" {
			r.fault(e, Fault{Code: CodeRequired, Field: pathOf(r.root, e) + ".key", Reason: "an expression must have a key"})
		}
		parts = append(parts, r.expression(e, key, op, values))
	}
	return selector.And(parts...)
}

func (r *reading) expression(e *node, key string, op *node, values []string) *selector.Selector {
	name := textOf(op)
	takesValues := name == "In" || name == "NotIn"
	switch {
	case op == nil:
		r.fault(e, Fault{Code: CodeRequired, Field: pathOf(r.root, e) + ".operator", Reason: "an expression must have an operator", Fix: didYouMean("", labelOperators)})
	case !slices.Contains(labelOperators, name):
		r.fault(op, Fault{Code: CodeUnknownValue, Reason: "there is no such operator", Fix: didYouMean(name, labelOperators)})
	case takesValues && len(values) == 0:
		r.fault(op, Fault{Code: CodeRequired, Reason: name + " needs values"})
	case !takesValues && len(values) > 0:
		r.fault(op, Fault{Code: CodeExclusive, Reason: name + " takes no values"})
	}
	switch name {
	case "In":
		return selector.In(key, values...)
	case "NotIn":
		return selector.NotIn(key, values...)
	case "Exists":
		return selector.Has(key)
	case "DoesNotExist":
		return selector.Not(selector.Has(key))
	}
	return nil
}
