package policy

import (
	"slices"
	"strconv"
	"strings"
)

// readTier reads a tier. One whose place is not understood is left out: its
// policies then apply after all valid tiers and end in deny (S13). With other
// faults it keeps its place, since behind the others its Deny rules would come
// too late, and ends in deny unless it says Pass.
func readTier(r *reading) any {
	spec := r.root.get("spec")
	r.check(spec, r.schema.field("spec"), "defaultAction")
	t := &Tier{Name: r.key.Name, Order: r.order(spec.get("order")), DefaultAction: Deny, Origin: r.origin(r.root.line, r.root.col)}
	placed := r.key.Name != "" && !slices.ContainsFunc(r.faults, func(f Fault) bool { return !f.Warning && !strings.HasPrefix(f.Field, "metadata") })
	switch a := spec.get("defaultAction"); {
	case a.empty(), a.kind == isString && a.text == "Deny":
	case a.kind != isString:
		r.wrongType(a, isString)
	case a.text == "Pass":
		t.DefaultAction = Pass
	default:
		r.fault(a, Fault{Code: CodeUnknownValue, Reason: "a tier's default action is Deny or Pass", Fix: fixOf(nearest(a.text, []string{"Deny", "Pass"}))})
	}
	r.builtinTier(t, spec)
	if !placed {
		return nil
	}
	return t
}

// BuiltinTier is one of the tiers that exist without being written down (S1),
// nil if there is none of that name.
func BuiltinTier(name string) *Tier {
	switch name {
	case "kube-admin":
		return &Tier{Name: name, Order: 1_000, DefaultAction: Pass}
	case "default":
		return &Tier{Name: name, Order: 1_000_000, DefaultAction: Deny}
	case "kube-baseline":
		return &Tier{Name: name, Order: 10_000_000, DefaultAction: Pass}
	}
	return nil
}

// builtinTier holds a built-in tier to what it is.
func (r *reading) builtinTier(t *Tier, spec *node) {
	b := BuiltinTier(t.Name)
	if b == nil {
		return
	}
	if n := spec.get("order"); n != nil && t.Order != b.Order {
		r.fault(n, Fault{Code: CodeFixed, Reason: "the order of tier " + b.Name + " is fixed", Fix: "write " + strconv.FormatFloat(b.Order, 'f', -1, 64)})
	}
	if n := spec.get("defaultAction"); n != nil && t.DefaultAction != b.DefaultAction {
		r.fault(n, Fault{Code: CodeFixed, Reason: "the default action of tier " + b.Name + " is fixed", Fix: "write " + b.DefaultAction.String()})
	}
	t.Order, t.DefaultAction = b.Order, b.DefaultAction
}
