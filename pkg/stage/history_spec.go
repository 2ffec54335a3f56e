package stage

import (
	"encoding/json"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// specOf is a copy of an object's spec, with the number types of JSON.
func specOf(u *unstructured.Unstructured) map[string]any {
	spec, _ := u.Object["spec"].(map[string]any)
	if spec == nil {
		return map[string]any{}
	}
	return (&unstructured.Unstructured{Object: spec}).DeepCopy().Object
}

// sameSpec says whether an object has a spec, or one that differs in what a
// server fills in alone.
func sameSpec(u *unstructured.Unstructured, spec map[string]any) bool {
	a, errA := json.Marshal(filledIn(specOf(u)))
	b, errB := json.Marshal(filledIn(specOf(&unstructured.Unstructured{Object: map[string]any{"spec": spec}})))
	return errA == nil && errB == nil && string(a) == string(b)
}

// filledIn is a spec with the defaults that servers write: the tier, and the
// types (S3). Both ways of writing it come out alike. spec is changed.
func filledIn(spec map[string]any) map[string]any {
	if spec["tier"] == nil {
		spec["tier"] = "default"
	}
	field := "types"
	if spec["podSelector"] != nil {
		field = "policyTypes"
	}
	if spec[field] == nil {
		egress, _ := spec["egress"].([]any)
		ingress, _ := spec["ingress"].([]any)
		types := []any{"Ingress"}
		switch {
		case len(egress) > 0 && (len(ingress) > 0 || field == "policyTypes"):
			types = append(types, "Egress")
		case len(egress) > 0:
			types = []any{"Egress"}
		}
		spec[field] = types
	}
	return spec
}

// SameSpec says whether two objects of one kind say the same in their specs, but
// for what a server fills in.
func SameSpec(a, b *unstructured.Unstructured) bool { return sameSpec(a, specOf(b)) }
