package stage

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// DefaultDenyName is the name of the policy that closes namespaces.
const DefaultDenyName = "default-deny"

// exempt are the namespaces that -A leaves out: closing the cluster's own DNS
// or the enforcer itself would break everything at once.
var exempt = [...]string{"kube-system", "netpol-system"}

// Exempt are the namespaces that a default-deny of everything leaves out.
func Exempt() []string { return slices.Clone(exempt[:]) }

// DenyRequest asks for a staged default-deny.
type DenyRequest struct {
	// Namespaces to close; All closes every one but the exempt ones.
	Namespaces []string
	All        bool
	// Staged and Enforced are the default-deny that is staged and enforced
	// now, nil where there is none.
	Staged, Enforced *unstructured.Unstructured
}

// DefaultDeny is the StagedGlobalNetworkPolicy that closes what is asked for
// and everything that is closed or staged already, so that enforcing it never
// opens a namespace. It has no rules and no order: it decides nothing itself,
// it makes every endpoint reach the end of tier default, which denies. So it
// can't shadow an allow in that tier, whatever the order. changed is false if
// what is staged or enforced covers all that is asked for.
func DefaultDeny(req DenyRequest) (out *unstructured.Unstructured, changed bool, err error) {
	wanted := named(req.Namespaces...)
	if req.All {
		wanted = allBut(exempt[:]...)
	}
	covered := wanted
	var current *unstructured.Unstructured
	var before string
	for _, old := range []*unstructured.Unstructured{req.Enforced, req.Staged} {
		if old == nil || !sets(old) {
			continue
		}
		if err := checkDeny(old); err != nil {
			return nil, false, err
		}
		c, err := coverageOf(old)
		if err != nil {
			return nil, false, err
		}
		current, before = old, c.String()
		covered = covered.union(c)
	}
	if current != nil && before == covered.String() {
		return current, false, nil
	}
	if n := utf8.RuneCountInString(covered.String()); n > selector.MaxLength {
		return nil, false, fmt.Errorf("%w: %d characters, at most %d are allowed", ErrTooLong, n, selector.MaxLength)
	}
	return denyPolicy(req, covered), true, nil
}

// sets says whether a policy puts rules in force, now or once enforced.
func sets(u *unstructured.Unstructured) bool {
	a := action(u)
	return a == policy.StagedSet || a == policy.StagedLearn
}

// denyPolicy writes what is covered into the staged policy there is, or a copy
// of the enforced one, or a new one.
func denyPolicy(req DenyRequest, covered coverage) *unstructured.Unstructured {
	var out *unstructured.Unstructured
	switch {
	case req.Staged != nil && sets(req.Staged):
		out = req.Staged.DeepCopy()
	case req.Enforced != nil:
		out = bare(req.Enforced, policy.KindStagedGlobalNetworkPolicy)
	default:
		out = newDeny(policy.KindStagedGlobalNetworkPolicy, "")
	}
	spec, _ := out.Object["spec"].(map[string]any)
	if spec == nil {
		spec = map[string]any{}
		out.Object["spec"] = spec
	}
	spec["stagedAction"] = string(policy.StagedSet)
	if s := covered.String(); s != "" {
		spec["namespaceSelector"] = s
	} else {
		delete(spec, "namespaceSelector")
	}
	return out
}

// DefaultDenyIn is the StagedNetworkPolicy that closes one namespace.
func DefaultDenyIn(namespace string) *unstructured.Unstructured {
	return newDeny(policy.KindStagedNetworkPolicy, namespace)
}

func newDeny(kind policy.Kind, namespace string) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: map[string]any{}}
	out.SetAPIVersion(APIVersion)
	out.SetKind(string(kind))
	out.SetName(DefaultDenyName)
	if namespace != "" {
		out.SetNamespace(namespace)
	}
	out.Object["spec"] = map[string]any{
		"stagedAction": string(policy.StagedSet),
		"tier":         "default",
		"types":        []any{"Ingress", "Egress"},
	}
	return out
}

// ClosesAll says whether a policy has no rule at all: whatever it selects can
// neither be reached nor reach anything by it.
func ClosesAll(u *unstructured.Unstructured) bool {
	if !sets(u) {
		return false
	}
	for _, dir := range []string{"ingress", "egress"} {
		if rules, _, _ := unstructured.NestedSlice(u.Object, "spec", dir); len(rules) > 0 {
			return false
		}
	}
	return true
}

// checkDeny refuses to extend a policy that leaves pods of its namespaces out
// or one direction open: extending it would not close anything.
func checkDeny(u *unstructured.Unstructured) error {
	wrong := func(why string) error {
		return fmt.Errorf("%s: %w: %s", keyOf(u), ErrNotDefaultDeny, why)
	}
	if text, _, _ := unstructured.NestedString(u.Object, "spec", "selector"); text != "" {
		s, err := selector.Parse(text)
		if err != nil {
			return fmt.Errorf("%s: selector: %w", keyOf(u), err)
		}
		if s.String() != "all()" {
			return wrong("it selects " + s.String() + " only")
		}
	}
	types, found, _ := unstructured.NestedStringSlice(u.Object, "spec", "types")
	egress, _, _ := unstructured.NestedSlice(u.Object, "spec", "egress")
	if found && len(types) > 0 && (!slices.Contains(types, "Ingress") || !slices.Contains(types, "Egress")) {
		return wrong("its types are not Ingress and Egress")
	}
	if (!found || len(types) == 0) && len(egress) == 0 {
		return wrong("without types it closes ingress only")
	}
	return nil
}

// coverageOf reads which namespaces a policy selects.
func coverageOf(u *unstructured.Unstructured) (coverage, error) {
	text, given, _ := unstructured.NestedString(u.Object, "spec", "namespaceSelector")
	if !given || text == "" {
		return everything(), nil
	}
	s, err := selector.Parse(text)
	if err != nil {
		return coverage{}, fmt.Errorf("%s: namespaceSelector: %w", keyOf(u), err)
	}
	return coverageFrom(s.String(), text), nil
}
