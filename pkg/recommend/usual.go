package recommend

import (
	"cmp"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/policy"
)

// shared are the stable labels that all of some endpoints have with one value,
// the most usual first.
func shared(eps []*policy.Endpoint) []label {
	var out []label
	if len(eps) == 0 {
		return nil
	}
	for name, value := range eps[0].Labels {
		if stable(name) && !slices.ContainsFunc(eps, func(e *policy.Endpoint) bool {
			v, ok := e.Labels[name]
			return !ok || v != value
		}) {
			out = append(out, label{name, value})
		}
	}
	slices.SortFunc(out, func(a, b label) int {
		return cmp.Or(cmp.Compare(usual(a.name), usual(b.name)), strings.Compare(a.name, b.name))
	})
	return out
}

// usualLabels are what people name workloads by, the best first.
var usualLabels = [...]string{
	"app", "app.kubernetes.io/name", "k8s-app", "app.kubernetes.io/component", "component",
	"app.kubernetes.io/instance", "name", "role", "tier",
}

func usual(name string) int {
	if i := slices.Index(usualLabels[:], name); i >= 0 {
		return i
	}
	if name == "version" || name == "release" {
		return len(usualLabels) + 1
	}
	return len(usualLabels)
}

// unstableLabels change from one pod, rollout or release to the next, so that a
// policy by them would stop to select its workload.
var unstableLabels = [...]string{
	"pod-template-hash", "controller-revision-hash", "pod-template-generation",
	"statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
	"controller-uid", "batch.kubernetes.io/controller-uid",
	"job-name", "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index",
	"app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart", "chart", "heritage",
	"service.istio.io/canonical-revision",
}

func stable(name string) bool {
	return !slices.Contains(unstableLabels[:], name) &&
		!strings.HasPrefix(name, "projectcalico.org/") && !strings.HasPrefix(name, "topology.kubernetes.io/")
}
