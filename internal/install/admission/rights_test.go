package admission_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/install/admission"
	"github.com/netpol-project/netpol/internal/install/crd"
	"github.com/netpol-project/netpol/internal/kubetest"
)

var cluster kubetest.Shared

func TestMain(m *testing.M) { os.Exit(cluster.Around(m).Run()) }

func resource(plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: crd.Group, Version: crd.Version, Resource: plural}
}

// tierRole grants verbs on the policies of one tier, as docs/RIGHTS.md says.
func tierRole(name, user, tier string, verbs string) string {
	return fmt.Sprintf(`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: %[1]s}
rules:
- {apiGroups: [projectcalico.org], resources: [tiers], resourceNames: ['%[3]s'], verbs: [get]}
- apiGroups: [projectcalico.org]
  resources: [tier.networkpolicies, tier.globalnetworkpolicies, tier.stagednetworkpolicies, tier.stagedglobalnetworkpolicies]
  resourceNames: ['%[3]s.*']
  verbs: [%[4]s]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: %[1]s}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: %[1]s}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: %[2]s}]
`, name, user, tier, verbs)
}

// editors may write every policy as far as Kubernetes' own RBAC is asked.
const editors = `apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: editor}
rules:
- apiGroups: [projectcalico.org]
  resources: [networkpolicies, globalnetworkpolicies, stagednetworkpolicies, stagedglobalnetworkpolicies, tiers]
  verbs: ['*']
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: editor}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: editor}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: mia}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: noah}
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: one}
`

const tierObjects = `apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: platform}
---
apiVersion: projectcalico.org/v3
kind: Tier
metadata: {name: security}
`

// defined is a control plane with the definitions, admission policies, tiers and
// users: mia may write in platform; noah in platform and security; one may
// write a single policy of security; nobody has no rights in any tier.
func defined(t *testing.T) *kubetest.ControlPlane {
	plane := cluster.Get(t)
	var manifests []string
	for _, u := range append(append(crd.CRDs(), admission.Objects()...), admission.Roles()...) {
		b, err := yaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		manifests = append(manifests, string(b))
	}
	const all = "create, update, patch, delete"
	single := strings.Replace(tierRole("one", "one", "security", all), "security.*", "security.single", 1)
	plane.Apply(t, append(manifests, "apiVersion: v1\nkind: Namespace\nmetadata: {name: vote}\n", tierObjects, editors,
		tierRole("mia", "mia", "platform", all), tierRole("noah-p", "noah", "platform", all), tierRole("noah-s", "noah", "security", all), single)...)
	return plane
}

func policyIn(name, tier string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy",
		"metadata": map[string]any{"name": name, "namespace": "vote"},
	}}
	if tier != "" {
		u.Object["spec"] = map[string]any{"tier": tier}
	}
	return u
}

func as(t *testing.T, config *rest.Config) dynamic.ResourceInterface {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.Resource(resource("networkpolicies")).Namespace("vote")
}

// Who may change policies of which tier: Calico's rules, kept by the API server.
func TestClusterTierRights(t *testing.T) {
	plane := defined(t)
	ctx := context.Background()
	admin := as(t, plane.Admin())
	users := map[string]dynamic.ResourceInterface{"admin": admin}
	for _, name := range []string{"mia", "noah", "one"} {
		users[name] = as(t, plane.User(t, name))
	}
	kubetest.Eventually(t, "tier rights are in force", func() bool {
		_, err := users["mia"].Create(ctx, policyIn("probe", "security"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "netpol-tier-rights")
	})
	for _, c := range []struct {
		user, name, from, to string // from and to are tiers; none: not there
		ok                   bool
	}{
		{"mia", "a", "none", "platform", true},
		{"mia", "a", "none", "security", false},
		{"mia", "a", "none", "", false}, // tier default
		{"mia", "a", "platform", "platform", true},
		{"mia", "a", "security", "security", false},
		{"mia", "a", "platform", "security", false}, // moving takes both
		{"mia", "a", "security", "platform", false},
		{"mia", "a", "platform", "", false},
		{"mia", "a", "platform", "none", true},
		{"mia", "a", "security", "none", false},
		{"noah", "a", "platform", "security", true},
		{"noah", "a", "security", "platform", true},
		{"noah", "a", "security", "none", true},
		{"noah", "a", "", "none", false},
		{"one", "single", "none", "security", true},
		{"one", "security.single", "none", "security", true}, // as Calico up to 3.31 names it
		{"one", "other", "none", "security", false},
		{"one", "single", "security", "platform", false},
		{"admin", "a", "none", "security", true},
		{"admin", "a", "security", "", true},
		{"admin", "a", "", "none", true},
	} {
		name := fmt.Sprintf("%s %s from %q to %q", c.user, c.name, c.from, c.to)
		if c.from != "none" {
			if _, err := admin.Create(ctx, policyIn(c.name, c.from), metav1.CreateOptions{}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		err := change(ctx, users[c.user], c.name, c.from, c.to)
		switch {
		case c.ok && err != nil:
			t.Errorf("%s: %v", name, err)
		case !c.ok && !apierrors.IsForbidden(err):
			t.Errorf("%s: it may: %v", name, err)
		case !c.ok && !strings.Contains(err.Error(), "netpol auth can-i"):
			t.Errorf("%s: it does not say what to ask for: %v", name, err)
		}
		if err := admin.Delete(ctx, c.name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
	}
}

func change(ctx context.Context, c dynamic.ResourceInterface, name, from, to string) error {
	switch {
	case from == "none":
		_, err := c.Create(ctx, policyIn(name, to), metav1.CreateOptions{})
		return err
	case to == "none":
		return c.Delete(ctx, name, metav1.DeleteOptions{})
	}
	// An empty tier is default, as none is.
	patch := fmt.Sprintf(`{"metadata": {"labels": {"changed": "yes"}}, "spec": {"tier": %q}}`, to)
	_, err := c.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// Deleting many at once is held to tiers one by one.
func TestClusterTierRightsHoldForCollections(t *testing.T) {
	plane := defined(t)
	ctx := context.Background()
	admin, mia := as(t, plane.Admin()), as(t, plane.User(t, "mia"))
	if _, err := admin.Create(ctx, policyIn("guarded", "security"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Delete(ctx, "guarded", metav1.DeleteOptions{}) }()
	kubetest.Eventually(t, "deleting a collection is refused", func() bool {
		return apierrors.IsForbidden(mia.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	})
	if _, err := admin.Get(ctx, "guarded", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

// S1: built-in tiers can't be deleted, by anybody. S13: nor a tier that a policy
// without namespace is in.
func TestClusterTiersStay(t *testing.T) {
	plane := defined(t)
	ctx := context.Background()
	client := plane.Dynamic(t)
	tiers, global := client.Resource(resource("tiers")), client.Resource(resource("globalnetworkpolicies"))
	plane.Apply(t, "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: default}\n",
		"apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: used}\n",
		"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: g}\nspec: {tier: used}\n")
	refused := func(name, words string) {
		t.Helper()
		kubetest.Eventually(t, name+": "+words, func() bool {
			err := tiers.Delete(ctx, name, metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}})
			return apierrors.IsForbidden(err) && strings.Contains(err.Error(), words)
		})
	}
	refused("default", `tier "default" is built in and can't be deleted`)
	refused("used", `tier "used" is in use by GlobalNetworkPolicy g`)
	if err := global.Delete(ctx, "g", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	kubetest.Eventually(t, "a tier that nothing is in can be deleted", func() bool {
		return tiers.Delete(ctx, "used", metav1.DeleteOptions{}) == nil
	})
}
