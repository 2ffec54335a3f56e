package policy

import (
	"slices"
	"strings"
	"sync"

	v3 "github.com/projectcalico/api/pkg/apis/projectcalico/v3"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/network-policy-api/apis/v1alpha2"
)

// reader reads a resource of one kind once its key is known.
type reader struct {
	kind       Kind
	namespaced bool
	// schema of the resource; nil: fields that are not read are not checked.
	// Most commands never decode such a resource, so it is made at first use.
	schema func() *schema
	read   func(*reading) any
}

// API groups and versions.
const (
	groupCalico     = "projectcalico.org"
	groupCalicoCRD  = "crd.projectcalico.org"
	groupNetworking = "networking.k8s.io"
	groupPolicy     = "policy.networking.k8s.io"
)

// readers are the kinds that verdicts depend on, by apiVersion and kind.
var readers = map[[2]string]reader{
	{"projectcalico.org/v3", "NetworkPolicy"}:                     {KindNetworkPolicy, true, sync.OnceValue(schemaOf[v3.NetworkPolicy]), readPolicy},
	{"projectcalico.org/v3", "GlobalNetworkPolicy"}:               {KindGlobalNetworkPolicy, false, sync.OnceValue(schemaOf[v3.GlobalNetworkPolicy]), readPolicy},
	{"projectcalico.org/v3", "StagedNetworkPolicy"}:               {KindStagedNetworkPolicy, true, sync.OnceValue(schemaOf[v3.StagedNetworkPolicy]), readPolicy},
	{"projectcalico.org/v3", "StagedGlobalNetworkPolicy"}:         {KindStagedGlobalNetworkPolicy, false, sync.OnceValue(schemaOf[v3.StagedGlobalNetworkPolicy]), readPolicy},
	{"projectcalico.org/v3", "StagedKubernetesNetworkPolicy"}:     {KindStagedKubernetesNetworkPolicy, true, sync.OnceValue(schemaOf[v3.StagedKubernetesNetworkPolicy]), readKubernetes},
	{"projectcalico.org/v3", "Tier"}:                              {KindTier, false, sync.OnceValue(schemaOf[v3.Tier]), readTier},
	{"projectcalico.org/v3", "NetworkSet"}:                        {KindNetworkSet, true, sync.OnceValue(schemaOf[v3.NetworkSet]), readNetworkSet},
	{"projectcalico.org/v3", "GlobalNetworkSet"}:                  {KindGlobalNetworkSet, false, sync.OnceValue(schemaOf[v3.GlobalNetworkSet]), readNetworkSet},
	{"projectcalico.org/v3", "HostEndpoint"}:                      {KindHostEndpoint, false, sync.OnceValue(schemaOf[v3.HostEndpoint]), readHostEndpoint},
	{"networking.k8s.io/v1", "NetworkPolicy"}:                     {KindKubernetesNetworkPolicy, true, sync.OnceValue(schemaOf[networkingv1.NetworkPolicy]), readKubernetes},
	{"policy.networking.k8s.io/v1alpha2", "ClusterNetworkPolicy"}: {KindClusterNetworkPolicy, false, sync.OnceValue(schemaOf[v1alpha2.ClusterNetworkPolicy]), readCluster},
	{"v1", "Namespace"}:                                           {KindNamespace, false, nil, readNamespace},
	{"v1", "Node"}:                                                {KindNode, false, nil, readNode},
	{"v1", "ServiceAccount"}:                                      {KindServiceAccount, true, nil, readServiceAccount},
	{"v1", "Pod"}:                                                 {KindPod, true, nil, readPod},
	{"v1", "Service"}:                                             {KindService, true, nil, readService},
	{"v1", "Endpoints"}:                                           {KindEndpoints, true, nil, readEndpoints},
	{"discovery.k8s.io/v1", "EndpointSlice"}:                      {KindEndpointSlice, true, nil, readEndpointSlice},
	{"apps/v1", "Deployment"}:                                     {KindDeployment, true, nil, readTemplate},
	{"apps/v1", "StatefulSet"}:                                    {KindStatefulSet, true, nil, readTemplate},
	{"apps/v1", "DaemonSet"}:                                      {KindDaemonSet, true, nil, readTemplate},
	{"apps/v1", "ReplicaSet"}:                                     {KindReplicaSet, true, nil, readTemplate},
	{"batch/v1", "Job"}:                                           {KindJob, true, nil, readTemplate},
	{"batch/v1", "CronJob"}:                                       {KindCronJob, true, nil, readTemplate},
}

// otherKinds are kinds of closed groups on which no verdict depends.
var otherKinds = map[string][]string{
	groupCalico: {
		"BGPConfiguration", "BGPFilter", "BGPPeer", "BlockAffinity", "CalicoNodeStatus",
		"ClusterInformation", "FelixConfiguration", "IPAMConfiguration", "IPPool",
		"IPReservation", "KubeControllersConfiguration",
	},
	groupNetworking: {"IPAddress", "Ingress", "IngressClass", "ServiceCIDR"},
}

// resource reads the document as one resource; ok is false where it can't even
// be told which one it is.
func (r *reading) resource() (Resource, bool) {
	api, kind := r.root.get("apiVersion"), r.root.get("kind")
	for _, f := range []struct {
		n    *node
		name string
	}{{api, "apiVersion"}, {kind, "kind"}} {
		if f.n.empty() {
			r.fault(r.root, Fault{Code: CodeNoResource, Field: f.name, Reason: "a resource must say its " + f.name})
		} else if f.n.kind != isString {
			r.wrongType(f.n, isString)
		}
	}
	if r.since(0) {
		return Resource{}, false
	}
	res := Resource{Origin: r.origin(r.root.line, r.root.col)}
	rd, known := readers[[2]string{api.text, kind.text}]
	if stored := r.stored(api, kind); stored != nil {
		rd, known = *stored, true
	}
	if !known {
		ok := r.otherKind(api, kind)
		res.Key = r.key
		return res, ok
	}
	r.key.Kind = rd.kind
	r.metadata(rd.namespaced)
	if rd.schema != nil {
		r.schema = rd.schema()
		r.check(r.root, r.schema, "spec", "status")
	} else {
		r.twiceAnywhere(r.root)
	}
	res.Value = rd.read(r)
	if p, ok := res.Value.(*Policy); ok && p != nil && !p.Kind.Staged() {
		p.Trial = r.trial(&rd, p)
	}
	res.Key = r.key
	// Faults found before the key was whole get it too.
	for i := range r.faults {
		r.faults[i].Key = r.key
	}
	return res, true
}

// otherKind names a resource that is not judged, and refuses those that a
// verdict could depend on or that look like a slip.
func (r *reading) otherKind(api, kind *node) bool {
	group, version, ok := strings.Cut(api.text, "/")
	if !ok {
		group, version = "", api.text
	}
	r.key.Kind = Kind(strings.Clone(kind.text))
	if group != "" {
		r.key.Kind = Kind(kind.text + "." + group)
	}
	meta := r.root.get("metadata")
	r.key.Name = strings.Clone(textOf(meta.get("name")))
	r.key.Namespace = r.dec.shared.str(textOf(meta.get("namespace")))
	if group == groupCalicoCRD {
		group = groupCalico
	}
	mine, others := kindNames(group), otherKinds[group]
	switch {
	case group == groupPolicy && !slices.Contains(mine, kind.text):
		r.unsupported(kind, kind.text)
	case group == "extensions" && kind.text == "NetworkPolicy":
		r.fault(api, Fault{Code: CodeUnknownKind, Unsupported: true, Reason: "this version has been removed from Kubernetes", Fix: "use networking.k8s.io/v1"})
	case group == "" && version != "v1":
		r.fault(api, Fault{Code: CodeUnknownKind, Reason: "there is no such API version", Fix: didYouMean(api.text, apiVersions())})
	case slices.Contains(mine, kind.text):
		r.fault(api, Fault{Code: CodeUnknownKind, Reason: "there is no such version of " + kind.text, Fix: "use " + apiVersionOf(group, kind.text)})
	case slices.Contains(others, kind.text):
	case group == groupCalico && nearest(kind.text, mine) == "" && r.key.Kind != Kind(kind.text+"."+groupCalicoCRD):
		r.unsupported(kind, kind.text)
	case group == groupCalico && nearest(kind.text, mine) == "": // its internals: blocks of addresses and the like
	case group == groupCalico, group == groupNetworking:
		r.fault(kind, Fault{Code: CodeUnknownKind, Reason: "there is no such kind in " + group,
			Fix: didYouMean(kind.text, append(mine, others...))})
	}
	return true
}

// kindNames are the kinds of a group that verdicts depend on.
func kindNames(group string) (names []string) {
	for id := range readers {
		if g, _, ok := strings.Cut(id[0], "/"); ok && g == group {
			names = append(names, id[1])
		}
	}
	slices.Sort(names)
	return names
}

func apiVersions() []string {
	var all []string
	for id := range readers {
		all = append(all, id[0])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func apiVersionOf(group, kind string) string {
	for id := range readers {
		if strings.HasPrefix(id[0], group+"/") && id[1] == kind {
			return id[0]
		}
	}
	return ""
}
