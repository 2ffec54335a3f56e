package policy

import (
	"math"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// NetworkSetObject is the v3 resource of a set, without S15's labels.
func NetworkSetObject(s *NetworkSet) *unstructured.Unstructured {
	spec := map[string]any{}
	putNets(spec, "nets", s.Nets)
	u := object(s.Kind, s.Namespace, s.Name, spec)
	own := map[string]string{}
	for k, v := range s.Labels {
		if k != LabelName && k != LabelNamespace {
			own[k] = v
		}
	}
	if len(own) > 0 {
		u.SetLabels(own)
	}
	return u
}

// TierObject is the v3 resource of a tier.
func TierObject(t *Tier) *unstructured.Unstructured {
	spec := map[string]any{"defaultAction": t.DefaultAction.String()}
	if !math.IsInf(t.Order, 0) {
		spec["order"] = number(t.Order)
	}
	return object(KindTier, "", t.Name, spec)
}
