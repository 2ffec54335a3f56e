package crd_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/install/crd"
)

// Names and scopes are those of Calico's own definitions, so that a cluster can
// change from ours to those. What the definitions refuse is tested where the
// words come from, in pkg/policy.
func TestNamesAreCalicos(t *testing.T) {
	got := map[string]string{}
	for _, u := range crd.CRDs() {
		short, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "names", "shortNames")
		scope, _, _ := unstructured.NestedString(u.Object, "spec", "scope")
		got[u.GetName()] = strings.TrimSpace(scope + " " + strings.Join(short, " "))
	}
	want := map[string]string{
		"networkpolicies.projectcalico.org":                 "Namespaced cnp caliconetworkpolicy",
		"globalnetworkpolicies.projectcalico.org":           "Cluster gnp cgnp",
		"stagednetworkpolicies.projectcalico.org":           "Namespaced scnp snp",
		"stagedglobalnetworkpolicies.projectcalico.org":     "Cluster sgnp",
		"stagedkubernetesnetworkpolicies.projectcalico.org": "Namespaced sknp",
		"tiers.projectcalico.org":                           "Cluster",
		"networksets.projectcalico.org":                     "Namespaced",
		"globalnetworksets.projectcalico.org":               "Cluster gns",
		"hostendpoints.projectcalico.org":                   "Cluster hep heps",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A rule without words of its own would be told as the expression that failed.
func TestEveryRuleHasWords(t *testing.T) {
	rules := 0
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if list, ok := v["x-kubernetes-validations"].([]any); ok {
				for _, r := range list {
					rules++
					if m, _ := r.(map[string]any)["message"].(string); m == "" {
						t.Errorf("%s: %v has no message", path, r)
					}
				}
			}
			for k, x := range v {
				walk(path+"."+k, x)
			}
		case []any:
			for _, x := range v {
				walk(path, x)
			}
		}
	}
	for _, u := range crd.CRDs() {
		walk(u.GetName(), u.Object)
	}
	if rules < 100 {
		t.Errorf("only %d rules", rules)
	}
}
