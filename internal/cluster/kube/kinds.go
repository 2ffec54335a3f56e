package kube

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Resource is where an API server keeps the objects of a kind.
type Resource struct {
	schema.GroupVersionResource
	Namespaced bool
	// Kind is what the objects call themselves.
	Kind string
}

// plurals are the names of the resources that verdicts depend on.
var plurals = map[policy.Kind]string{
	policy.KindNetworkPolicy:                 "networkpolicies",
	policy.KindGlobalNetworkPolicy:           "globalnetworkpolicies",
	policy.KindStagedNetworkPolicy:           "stagednetworkpolicies",
	policy.KindStagedGlobalNetworkPolicy:     "stagedglobalnetworkpolicies",
	policy.KindStagedKubernetesNetworkPolicy: "stagedkubernetesnetworkpolicies",
	policy.KindTier:                          "tiers",
	policy.KindNetworkSet:                    "networksets",
	policy.KindGlobalNetworkSet:              "globalnetworksets",
	policy.KindHostEndpoint:                  "hostendpoints",
	policy.KindKubernetesNetworkPolicy:       "networkpolicies",
	policy.KindClusterNetworkPolicy:          "clusternetworkpolicies",
	policy.KindNamespace:                     "namespaces",
	policy.KindNode:                          "nodes",
	policy.KindServiceAccount:                "serviceaccounts",
	policy.KindPod:                           "pods",
	policy.KindService:                       "services",
	policy.KindEndpoints:                     "endpoints",
	policy.KindEndpointSlice:                 "endpointslices",
	policy.KindDeployment:                    "deployments",
	policy.KindStatefulSet:                   "statefulsets",
	policy.KindDaemonSet:                     "daemonsets",
	policy.KindReplicaSet:                    "replicasets",
	policy.KindJob:                           "jobs",
	policy.KindCronJob:                       "cronjobs",
}

// ResourceOf is the resource of a kind that verdicts depend on.
func ResourceOf(kind policy.Kind) (Resource, bool) {
	plural, ok := plurals[kind]
	gvk := cluster.GVK(kind)
	return Resource{gvk.GroupVersion().WithResource(plural), cluster.Namespaced(kind), gvk.Kind}, ok
}

// enforcedKinds are those that verdicts about running pods depend on: what an
// agent has to know. Endpoints are left out, since the control plane keeps
// EndpointSlices of all of them, and so is what makes pods, but for Jobs: a
// pod does not say which CronJob its Job is of.
var enforcedKinds = []policy.Kind{
	policy.KindTier, policy.KindNetworkPolicy, policy.KindGlobalNetworkPolicy, policy.KindKubernetesNetworkPolicy, policy.KindClusterNetworkPolicy,
	policy.KindStagedNetworkPolicy, policy.KindStagedGlobalNetworkPolicy, policy.KindStagedKubernetesNetworkPolicy,
	policy.KindNetworkSet, policy.KindGlobalNetworkSet, policy.KindHostEndpoint,
	policy.KindNamespace, policy.KindNode, policy.KindServiceAccount, policy.KindPod, policy.KindService, policy.KindEndpointSlice,
	policy.KindJob,
}

// templateKinds are what makes pods, also those that do not run yet.
var templateKinds = []policy.Kind{
	policy.KindDeployment, policy.KindStatefulSet, policy.KindDaemonSet, policy.KindReplicaSet, policy.KindCronJob,
}

// AgentKinds are the kinds that an agent lists and watches; its rights follow
// from them.
func AgentKinds() []policy.Kind { return slices.Clone(enforcedKinds) }

// allKinds are the kinds that commands read.
func allKinds() []policy.Kind { return slices.Concat(enforcedKinds, templateKinds) }

// helpful kinds are not needed for a verdict on pods: without a right to read
// them the answer lacks names and workloads that have no pods.
func helpful(kind policy.Kind) bool {
	return kind == policy.KindNode || kind == policy.KindJob || slices.Contains(templateKinds, kind)
}

// path is the URL of a collection, or, with a name, of an object in it.
func (r Resource) path(namespace, name string) []string {
	parts := []string{"/apis", r.Group, r.Version}
	if r.Group == "" {
		parts = []string{"/api", r.Version}
	}
	if r.Namespaced && namespace != "" {
		parts = append(parts, "namespaces", namespace)
	}
	parts = append(parts, r.GroupVersionResource.Resource)
	if name != "" {
		parts = append(parts, name)
	}
	return parts
}

// String is the resource as kubectl and RBAC write it: tiers.projectcalico.org.
func (r Resource) String() string {
	return strings.TrimSuffix(r.GroupVersionResource.Resource+"."+r.Group, ".")
}
