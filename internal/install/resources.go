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
	// namespaced: all of ours are in Namespace.
	namespaced bool
}{
	{schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}, "namespaces", false},
	{schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"}, "customresourcedefinitions", false},
	{schema.GroupVersionKind{Version: "v1", Kind: "ServiceAccount"}, "serviceaccounts", true},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRole"}, "clusterroles", false},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "ClusterRoleBinding"}, "clusterrolebindings", false},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "Role"}, "roles", true},
	{schema.GroupVersionKind{Group: "rbac.authorization.k8s.io", Version: "v1", Kind: "RoleBinding"}, "rolebindings", true},
	{schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicy"}, "validatingadmissionpolicies", false},
	{schema.GroupVersionKind{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicyBinding"}, "validatingadmissionpolicybindings", false},
	{schema.GroupVersionKind{Group: "projectcalico.org", Version: "v3", Kind: "NetworkPolicy"}, "networkpolicies", true},
	{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "DaemonSet"}, "daemonsets", true},
	{schema.GroupVersionKind{Version: "v1", Kind: "Service"}, "services", true},
	{schema.GroupVersionKind{Version: "v1", Kind: "PersistentVolumeClaim"}, "persistentvolumeclaims", true},
	{schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, "deployments", true},
	// Of the flows server's own making, and the list of what agents took back.
	{schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, "configmaps", true},
	{schema.GroupVersionKind{Version: "v1", Kind: "Secret"}, "secrets", true},
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

// NamespaceOf is where netpol's objects of a kind are; empty: in no namespace.
func NamespaceOf(kind schema.GroupVersionKind) string {
	for _, r := range resources {
		if r.kind == kind && r.namespaced {
			return Namespace
		}
	}
	return ""
}
