package policy

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy/selector"
)

// Template is a resource that makes pods: a Deployment, StatefulSet, DaemonSet,
// ReplicaSet, Job or CronJob.
type Template struct {
	Workload Workload
	// Owner is what made this resource (the Deployment of a ReplicaSet, the
	// CronJob of a Job); zero if there is none that is a workload.
	Owner Workload
	// Labels that the pods get, with S15's.
	Labels         selector.Labels
	ServiceAccount string // empty: default
	Ports          []ContainerPort
	Replicas       int
	HostNetwork    bool
	LocalDNS       []netip.Addr // as of an Idle
	Origin         Origin
}

func readTemplate(r *reading) any {
	spec := r.root.get("spec")
	if r.key.Kind == KindCronJob {
		spec = spec.at("jobTemplate", "spec")
	}
	template := spec.get("template")
	pod := template.get("spec")
	t := &Template{
		Workload:       Workload{r.key.Kind, r.key.Namespace, r.key.Name},
		Owner:          r.owner(r.root.get("metadata")),
		Labels:         r.endpointLabels(r.labels(template.at("metadata", "labels")), accountOf(pod)),
		ServiceAccount: r.dec.shared.str(accountOf(pod)),
		Ports:          r.containerPorts(pod),
		Replicas:       1,
		HostNetwork:    isTrue(pod.get("hostNetwork")),
		Origin:         r.origin(r.root.line, r.root.col),
	}
	if t.HostNetwork {
		t.LocalDNS = localDNS(pod)
	}
	if n := spec.get("replicas"); n != nil {
		v, err := strconv.Atoi(n.text)
		if n.kind != isNumber || err != nil || v < 0 {
			r.fault(n, Fault{Code: CodeOutOfBounds, Reason: "expected a number, 0 or more"})
		}
		t.Replicas = v
	}
	if r.since(0) {
		return nil
	}
	return t
}

// owner is the controller of a resource as far as it is a kind of workload
// that we know; zero otherwise.
func (r *reading) owner(meta *node) Workload {
	list := meta.get("ownerReferences")
	for i := range items(list) {
		n := &list.kids[i].node
		if !isTrue(n.get("controller")) {
			continue
		}
		kind := textOf(n.get("kind"))
		k := workloadKinds[[2]string{textOf(n.get("apiVersion")), kind}]
		if k == "" {
			return Workload{}
		}
		return Workload{k, r.key.Namespace, r.dec.shared.str(textOf(n.get("name")))}
	}
	return Workload{}
}

var workloadKinds = map[[2]string]Kind{
	{"apps/v1", "Deployment"}:  KindDeployment,
	{"apps/v1", "StatefulSet"}: KindStatefulSet,
	{"apps/v1", "DaemonSet"}:   KindDaemonSet,
	{"apps/v1", "ReplicaSet"}:  KindReplicaSet,
	{"batch/v1", "Job"}:        KindJob,
	{"batch/v1", "CronJob"}:    KindCronJob,
}

// podOwner is the workload of a pod as far as the pod alone tells: its
// controller, or itself. A ReplicaSet that a Deployment made is named after the
// Deployment and the hash that the pod has as a label. The owners of other
// ReplicaSets and of Jobs are looked up when a snapshot is made.
func (r *reading) podOwner(meta *node, own []label) Workload {
	w := r.owner(meta)
	if w.Name == "" {
		return Workload{KindPod, r.key.Namespace, r.key.Name}
	}
	if w.Kind == KindReplicaSet {
		for _, l := range own {
			if l.key == "pod-template-hash" && l.value != "" {
				if name, ok := strings.CutSuffix(w.Name, "-"+l.value); ok && name != "" {
					return Workload{KindDeployment, w.Namespace, r.dec.shared.str(name)}
				}
			}
		}
	}
	return w
}
