package install

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// resources are the kinds that netpol consists of, or did in a former version:
// where the API has them, in the order in which they are applied.
var resources = []struct {
	kind     schema.GroupVersionKind
	resource string
}{
	{schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, "namespaces"},
	{schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, "customresourcedefinitions"},
	{schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"}, "serviceaccounts"},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"}, "clusterroles"},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRoleBinding"}, "clusterrolebindings"},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"}, "roles"},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"}, "rolebindings"},
	{schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicy"}, "validatingadmissionpolicies"},
	{schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicyBinding"}, "validatingadmissionpolicybindings"},
	{schema.GroupVersionKind{Group: "projectcalico.org", Version: "v3", Kind: "NetworkPolicy"}, "networkpolicies"},
	{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"}, "daemonsets"},
	{schema.GroupVersionKind{Version: "v1", Kind: "Service"}, "services"},
	{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, "deployments"},
}

// ResourceOf is where the API has objects of a kind.
func ResourceOf(kind schema.GroupVersionKind) (schema.GroupVersionResource, error) {
	for _, r := range resources {
		if r.kind == kind {
			return kind.GroupVersion().WithResource(r.resource), nil
		}
	}
	return schema.GroupVersionResource{}, fmt.Errorf("netpol has no objects of kind %s", kind)
}

// Kinds are the kinds that netpol has or had objects of, in the order in which
// they are applied.
func Kinds() []schema.GroupVersionKind {
	out := make([]schema.GroupVersionKind, len(resources))
	for i, r := range resources {
		out[i] = r.kind
	}
	return out
}
