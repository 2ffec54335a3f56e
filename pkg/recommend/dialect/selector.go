package dialect

import (
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// requirement is one expression of a label selector.
type requirement = selector.Requirement

// requirements takes a selector apart. The label of service accounts is Cilium's
// only.
func (w *writer) requirements(s *selector.Selector) ([]requirement, bool) {
	reqs, ok := s.Requirements()
	// It keeps network sets out, which no selector there picks anyway (S15).
	reqs = slices.DeleteFunc(reqs, func(r requirement) bool { return r.Label == policy.LabelOrchestrator })
	for i := range reqs {
		if !strings.HasPrefix(reqs[i].Label, "projectcalico.org/") {
			continue
		}
		if reqs[i].Label != policy.LabelServiceAccount || w.name != Cilium {
			return nil, false
		}
		reqs[i].Label = ciliumAccount
	}
	return reqs, ok
}

// labelSelector is a Kubernetes label selector.
func labelSelector(reqs []requirement) map[string]any {
	out := map[string]any{}
	equal := map[string]any{}
	var expressions []any
	for _, r := range reqs {
		if _, twice := equal[r.Label]; r.Operator == "In" && len(r.Values) == 1 && !twice {
			equal[r.Label] = r.Values[0]
			continue
		}
		e := map[string]any{"key": r.Label, "operator": r.Operator}
		if len(r.Values) > 0 {
			values := make([]any, len(r.Values))
			for i, v := range r.Values {
				values[i] = v
			}
			e["values"] = values
		}
		expressions = append(expressions, e)
	}
	if len(equal) > 0 {
		out["matchLabels"] = equal
	}
	if len(expressions) > 0 {
		out["matchExpressions"] = expressions
	}
	return out
}

// namespaceRequirement picks namespaces by a label that holds their name.
func namespaceRequirement(label string, names []string) requirement {
	return requirement{Label: label, Operator: "In", Values: names}
}
