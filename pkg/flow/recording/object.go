package recording

import (
	"fmt"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Object is a resource that judging needs, as short as it can be.
type Object struct {
	Key policy.Key
	// Workload is whose pod it is.
	Workload policy.Workload
	body     map[string]any
}

type m = map[string]any

// Objects are all that flows can be judged by, policies and tiers apart: those
// are the question. No annotation, image, environment or command is among them.
func Objects(snap *policy.Snapshot) []Object {
	var out []Object
	add := func(apiVersion string, key policy.Key, labels map[string]string, rest m) *Object {
		meta := m{"name": key.Name}
		if key.Namespace != "" {
			meta["namespace"] = key.Namespace
		}
		if own := ownLabels(key.Kind, labels); len(own) > 0 {
			meta["labels"] = own
		}
		body := m{"apiVersion": apiVersion, "kind": string(key.Kind), "metadata": meta}
		for k, v := range rest {
			body[k] = v
		}
		out = append(out, Object{Key: key, body: body})
		return &out[len(out)-1]
	}
	for _, ns := range snap.Namespaces {
		add("v1", policy.Key{Kind: policy.KindNamespace, Name: ns.Name}, ns.Labels, nil)
	}
	for _, n := range snap.Nodes {
		o := add("v1", policy.Key{Kind: policy.KindNode, Name: n.Name}, n.Labels, nodeRest(n))
		if n.Created != 0 { // what was not seen before is not missing
			o.body["metadata"].(m)["creationTimestamp"] = time.Unix(0, n.Created).UTC().Format(time.RFC3339)
		}
	}
	for _, a := range snap.ServiceAccounts {
		add("v1", policy.Key{Kind: policy.KindServiceAccount, Namespace: a.Namespace, Name: a.Name}, a.Labels, nil)
	}
	for _, ep := range snap.Endpoints {
		o := add("v1", policy.Key{Kind: policy.KindPod, Namespace: ep.Namespace, Name: ep.Name}, ep.Labels, podRest(ep))
		o.Workload = ep.Workload
		if owner, ok := ownerOf(ep.Workload); ok {
			o.body["metadata"].(m)["ownerReferences"] = []any{owner}
		}
	}
	for _, s := range snap.Services {
		add("v1", policy.Key{Kind: policy.KindService, Namespace: s.Namespace, Name: s.Name}, nil, serviceRest(s))
		for i, b := range s.Backends {
			key := policy.Key{Kind: policy.KindEndpointSlice, Namespace: s.Namespace, Name: fmt.Sprintf("%s-%d", s.Name, i)}
			add("discovery.k8s.io/v1", key, map[string]string{"kubernetes.io/service-name": s.Name}, sliceRest(b))
		}
	}
	for _, s := range snap.NetworkSets {
		add("projectcalico.org/v3", s.Key, s.Labels, m{"spec": m{"nets": texts(s.Nets)}})
	}
	for _, h := range snap.HostEndpoints {
		add("projectcalico.org/v3", policy.Key{Kind: policy.KindHostEndpoint, Name: h.Name}, h.Labels, hostRest(h))
	}
	return out
}

// ownLabels are labels without those that are added when a resource is read.
func ownLabels(kind policy.Kind, labels map[string]string) map[string]string {
	out := map[string]string{}
	for k, v := range labels {
		switch k {
		case policy.LabelNamespace, policy.LabelName, policy.LabelOrchestrator, policy.LabelServiceAccount:
			continue
		case policy.LabelMetadataName:
			if kind == policy.KindNamespace {
				continue
			}
		}
		out[k] = v
	}
	return out
}
