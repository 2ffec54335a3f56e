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
	"app.kubernetes.io/instance", "name", "run", "role", "tier",
}

func usual(name string) int {
	if i := slices.Index(usualLabels[:], name); i >= 0 {
		return i
	}
	if (label{name: name}).names() {
		return len(usualLabels)
	}
	return len(usualLabels) + 1
}

// names says whether a label may tell what a workload is, and not only which version
// of it.
func (l label) names() bool { return l.name != "version" && l.name != "release" }

// unstableLabels change from one pod, rollout or release to the next, so that a
// policy by them would stop to select its workload.
var unstableLabels = [...]string{
	"pod-template-hash", "controller-revision-hash", "pod-template-generation",
	"apps.kubernetes.io/pod-index", "controller-uid", "job-name",
	"app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart", "chart", "heritage",
	"service.istio.io/canonical-revision", "rollouts-pod-template-hash", "leaderworkerset.sigs.k8s.io/template-revision-hash",
	"spark-app-selector", "spark-exec-id", "workflows.argoproj.io/workflow", "tekton.dev/pipelineRun", "tekton.dev/taskRun",
}

// unstablePrefixes begin the names of labels that Kubernetes or Calico set by pod,
// run or node.
var unstablePrefixes = [...]string{"projectcalico.org/", "topology.kubernetes.io/", "batch.kubernetes.io/", "statefulset.kubernetes.io/"}

func stable(name string) bool {
	return !slices.Contains(unstableLabels[:], name) &&
		!slices.ContainsFunc(unstablePrefixes[:], func(p string) bool { return strings.HasPrefix(name, p) })
}
