package lint_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/netpol-project/netpol/pkg/lint"
	"github.com/netpol-project/netpol/pkg/policy"
)

// testCase is a few documents and what is to be found in them: "code
// kind/name field", in the order of lines.
type testCase struct {
	name string
	docs string
	want []string
}

// check runs cases and looks at the findings of one code only, so that each
// lint is tested by itself.
func check(t *testing.T, code string, cases []testCase) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, f := range find(t, tc.docs) {
				if !f.Warning || f.Reason == "" || f.Origin.Line == 0 {
					t.Errorf("not a whole warning: %+v", f)
				}
				if f.Code == code {
					got = append(got, fmt.Sprintf("%s %s", f.Key.Name, f.Field))
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// find is what Check and Locate find.
func find(t *testing.T, docs string) policy.Faults {
	t.Helper()
	resources, faults := policy.Decode("f.yaml", []byte(docs))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	snap, _ := policy.NewSnapshot(1, resources, nil)
	found := lint.Check(snap, func(policy.Key) bool { return false })
	return lint.NewPlaces(func(string) ([]byte, error) { return []byte(docs), nil }).Locate(found)
}

// pod is a document.
func pod(namespace, name, app string, more ...string) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: %s, labels: {app: %s}}\n%s\n",
		name, namespace, app, strings.Join(more, "\n"))
}

// netpol is a NetworkPolicy in namespace shop with these lines of spec.
func netpol(name string, spec ...string) string {
	return fmt.Sprintf("---\napiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: shop}\nspec:\n  %s\n",
		name, strings.Join(spec, "\n  "))
}

// global is a GlobalNetworkPolicy.
func global(name string, spec ...string) string {
	return fmt.Sprintf("---\napiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: %s}\nspec:\n  %s\n",
		name, strings.Join(spec, "\n  "))
}

// kube is a Kubernetes NetworkPolicy in namespace shop.
func kube(name string, spec ...string) string {
	return fmt.Sprintf("---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s, namespace: shop}\nspec:\n  %s\n",
		name, strings.Join(spec, "\n  "))
}

func tierDoc(name, spec string) string {
	return fmt.Sprintf("---\napiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: %s}\nspec: {%s}\n", name, spec)
}

// staged makes a policy a staged one.
func staged(doc string) string {
	return strings.ReplaceAll(strings.ReplaceAll(doc, "kind: NetworkPolicy", "kind: StagedNetworkPolicy"),
		"kind: GlobalNetworkPolicy", "kind: StagedGlobalNetworkPolicy")
}

// shop is two pods and their namespace.
var shop = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: shop}}\n" +
	pod("shop", "web", "web", "spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}") +
	pod("shop", "db", "db", "spec: {containers: [{name: c, ports: [{name: sql, containerPort: 5432}]}]}")

// findIn is what Check finds in a snapshot without errors.
func findIn(s *policy.Snapshot) policy.Faults {
	return lint.Check(s, func(policy.Key) bool { return false })
}
