package install

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// What became of deleted policies has a place from the beginning, and a role
// that lets nobody make other ConfigMaps, or write this one, by itself.
func TestHistoryHasAPlaceAndARole(t *testing.T) {
	list := objects(t, nil)
	if m := object[corev1.ConfigMap](t, list, "ConfigMap", "netpol-history"); len(m.Data) > 0 {
		t.Errorf("applied again it would be emptied: %v", m.Data)
	}
	rules := object[rbacv1.Role](t, list, "Role", "netpol-history").Rules
	if len(rules) != 2 || !slices.Equal(rules[0].Resources, []string{"configmaps"}) || !slices.Equal(rules[0].ResourceNames, []string{"netpol-history"}) ||
		!slices.Equal(rules[0].Verbs, []string{"get", "patch"}) {
		t.Errorf("rules %+v", rules)
	}
	if r := rules[1]; !slices.Equal(r.ResourceNames, []string{"netpol-reverts"}) || !slices.Equal(r.Verbs, []string{"get"}) {
		t.Errorf("of what agents took back: %+v", r)
	}
	for _, u := range list {
		if name, _, _ := unstructured.NestedString(u.Object, "roleRef", "name"); name == "netpol-history" {
			t.Errorf("%s %s binds it", u.GetKind(), u.GetName())
		}
	}
}
