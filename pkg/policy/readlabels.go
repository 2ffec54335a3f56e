package policy

import (
	"regexp"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

var labelOperators = []string{"In", "NotIn", "Exists", "DoesNotExist"}

// labelSelector turns matchLabels and matchExpressions into a selector; {} is
// all(). Labels are sorted.
func (r *reading) labelSelector(n *node) *selector.Selector {
	start := r.mark()
	var parts []*selector.Selector
	equal := n.get("matchLabels")
	list := slices.Clone(r.labels(equal))
	if equal != nil && equal.kind == isMap {
		for i := range equal.kids {
			r.checkLabelKey(&equal.kids[i].node, equal.kids[i].key)
			r.checkLabelValue(&equal.kids[i].node)
		}
	}
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
			r.checkLabelValue(&list.kids[j].node)
			values = append(values, textOf(&list.kids[j].node))
		}
		if key != "" {
			r.checkLabelKey(e.get("key"), key)
		} else {
			r.fault(e, Fault{Code: CodeRequired, Field: pathOf(r.root, e) + ".key", Reason: "an expression must have a key"})
		}
		parts = append(parts, r.expression(e, key, op, values))
	}
	return r.share(selector.And(parts...), start)
}

// share shares a selector that was made of labels. Where those are at fault its
// text may be that of quite another selector.
func (r *reading) share(s *selector.Selector, mark int) *selector.Selector {
	if r.since(mark) {
		return s
	}
	return r.dec.shared.share(s.String(), s)
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

var labelForm = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)

// maxLabel is the longest value of a label, and the longest name of one without
// the domain in front.
const maxLabel = 63

// checkLabelKey faults what can't be the key of a label; n is the key or its
// value.
func (r *reading) checkLabelKey(n *node, key string) {
	domain, name, ok := strings.Cut(key, "/")
	if !ok {
		domain, name = "", key
	}
	if ok && (len(domain) > maxName || !subdomain.MatchString(domain)) || len(name) > maxLabel || !labelForm.MatchString(name) {
		r.fault(n, Fault{Code: CodeBadLabel, Value: shorten(key),
			Reason: "the key of a label is at most 63 letters, digits, -, _ and ., maybe with a domain and / in front"})
	}
}

// checkLabelValue faults what can't be the value of a label.
func (r *reading) checkLabelValue(n *node) {
	if n.kind == isString && n.text != "" && (len(n.text) > maxLabel || !labelForm.MatchString(n.text)) {
		r.fault(n, Fault{Code: CodeBadLabel, Reason: "the value of a label is at most 63 letters, digits, -, _ and ., beginning and ending with a letter or digit"})
	}
}
