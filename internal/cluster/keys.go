package cluster

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/netpol-project/netpol/pkg/policy"
)

// kindInfo is how a kind is written in manifests.
type kindInfo struct {
	group, version, kind string
	namespaced           bool
}

// kinds are those that verdicts depend on: policy.Kind names them without
// their group.
var kinds = map[policy.Kind]kindInfo{
	policy.KindNetworkPolicy:                 {"projectcalico.org", "v3", "NetworkPolicy", true},
	policy.KindGlobalNetworkPolicy:           {"projectcalico.org", "v3", "GlobalNetworkPolicy", false},
	policy.KindStagedNetworkPolicy:           {"projectcalico.org", "v3", "StagedNetworkPolicy", true},
	policy.KindStagedGlobalNetworkPolicy:     {"projectcalico.org", "v3", "StagedGlobalNetworkPolicy", false},
	policy.KindStagedKubernetesNetworkPolicy: {"projectcalico.org", "v3", "StagedKubernetesNetworkPolicy", true},
	policy.KindTier:                          {"projectcalico.org", "v3", "Tier", false},
	policy.KindNetworkSet:                    {"projectcalico.org", "v3", "NetworkSet", true},
	policy.KindGlobalNetworkSet:              {"projectcalico.org", "v3", "GlobalNetworkSet", false},
	policy.KindHostEndpoint:                  {"projectcalico.org", "v3", "HostEndpoint", false},
	policy.KindKubernetesNetworkPolicy:       {"networking.k8s.io", "v1", "NetworkPolicy", true},
	policy.KindClusterNetworkPolicy:          {"policy.networking.k8s.io", "v1alpha2", "ClusterNetworkPolicy", false},
	policy.KindNamespace:                     {"", "v1", "Namespace", false},
	policy.KindServiceAccount:                {"", "v1", "ServiceAccount", true},
	policy.KindPod:                           {"", "v1", "Pod", true},
	policy.KindService:                       {"", "v1", "Service", true},
	policy.KindEndpoints:                     {"", "v1", "Endpoints", true},
	policy.KindEndpointSlice:                 {"discovery.k8s.io", "v1", "EndpointSlice", true},
	policy.KindDeployment:                    {"apps", "v1", "Deployment", true},
	policy.KindStatefulSet:                   {"apps", "v1", "StatefulSet", true},
	policy.KindDaemonSet:                     {"apps", "v1", "DaemonSet", true},
	policy.KindReplicaSet:                    {"apps", "v1", "ReplicaSet", true},
	policy.KindJob:                           {"batch", "v1", "Job", true},
	policy.KindCronJob:                       {"batch", "v1", "CronJob", true},
}

// byGVK is kinds the other way round.
var byGVK = func() map[schema.GroupVersionKind]policy.Kind {
	out := make(map[schema.GroupVersionKind]policy.Kind, len(kinds))
	for k, i := range kinds {
		out[schema.GroupVersionKind{Group: i.group, Version: i.version, Kind: i.kind}] = k
	}
	return out
}()

// KeyOf is the key of an object, the same as policy.Decode gives it: kinds on
// which no verdict depends carry their group ("Ingress.networking.k8s.io"),
// what lives in a namespace and names none is in "default", and what Calico
// stores has the key of the v3 resource.
func KeyOf(u *unstructured.Unstructured) policy.Key {
	gvk := u.GroupVersionKind()
	key := policy.Key{Namespace: u.GetNamespace(), Name: u.GetName()}
	stored := gvk.Group == "crd.projectcalico.org" && gvk.Version == "v1"
	if stored {
		gvk.Group, gvk.Version = "projectcalico.org", "v3"
	}
	kind, known := byGVK[gvk]
	key.Kind = kind
	switch {
	case !known && stored:
		key.Kind = policy.Kind(gvk.Kind + ".crd.projectcalico.org")
	case !known && gvk.Group != "":
		key.Kind = policy.Kind(gvk.Kind + "." + gvk.Group)
	case !known:
		key.Kind = policy.Kind(gvk.Kind)
	case !kinds[kind].namespaced:
		key.Namespace = ""
	case key.Namespace == "":
		key.Namespace = "default"
	}
	if known && stored {
		key.Name = policy.StoredName(kind, key.Name, u.GetAnnotations())
	}
	return key
}

// Namespaced says whether resources of a kind live in a namespace.
func Namespaced(k policy.Kind) bool { return kinds[k].namespaced }

// GVK is the group, version and kind that objects of a kind are written with.
func GVK(k policy.Kind) schema.GroupVersionKind {
	if info, ok := kinds[k]; ok {
		return schema.GroupVersionKind{Group: info.group, Version: info.version, Kind: info.kind}
	}
	kind, group, _ := strings.Cut(string(k), ".")
	return schema.GroupVersionKind{Group: group, Version: "v1", Kind: kind}
}
