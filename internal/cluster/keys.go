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
	policy.KindNetworkPolicy:             {"projectcalico.org", "v3", "NetworkPolicy", true},
	policy.KindGlobalNetworkPolicy:       {"projectcalico.org", "v3", "GlobalNetworkPolicy", false},
	policy.KindStagedNetworkPolicy:       {"projectcalico.org", "v3", "StagedNetworkPolicy", true},
	policy.KindStagedGlobalNetworkPolicy: {"projectcalico.org", "v3", "StagedGlobalNetworkPolicy", false},
	policy.KindTier:                      {"projectcalico.org", "v3", "Tier", false},
	policy.KindKubernetesNetworkPolicy:   {"networking.k8s.io", "v1", "NetworkPolicy", true},
	policy.KindNamespace:                 {"", "v1", "Namespace", false},
	policy.KindPod:                       {"", "v1", "Pod", true},
	policy.KindService:                   {"", "v1", "Service", true},
	policy.KindDeployment:                {"apps", "v1", "Deployment", true},
	policy.KindStatefulSet:               {"apps", "v1", "StatefulSet", true},
	policy.KindDaemonSet:                 {"apps", "v1", "DaemonSet", true},
	policy.KindReplicaSet:                {"apps", "v1", "ReplicaSet", true},
	policy.KindJob:                       {"batch", "v1", "Job", true},
	policy.KindCronJob:                   {"batch", "v1", "CronJob", true},
}

// KeyOf is the key of an object, the same as policy.Decode gives it: kinds on
// which no verdict depends carry their group ("Ingress.networking.k8s.io"),
// and what lives in a namespace and names none is in "default".
func KeyOf(u *unstructured.Unstructured) policy.Key {
	gvk := u.GroupVersionKind()
	key := policy.Key{Kind: policy.Kind(gvk.Kind), Namespace: u.GetNamespace(), Name: u.GetName()}
	if gvk.Group == "networking.k8s.io" && gvk.Kind == "NetworkPolicy" {
		key.Kind = policy.KindKubernetesNetworkPolicy
	}
	info, known := kinds[key.Kind]
	switch {
	case (!known || info.group != gvk.Group) && gvk.Group != "":
		key.Kind = policy.Kind(gvk.Kind + "." + gvk.Group)
	case known && info.namespaced && key.Namespace == "":
		key.Namespace = "default"
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
