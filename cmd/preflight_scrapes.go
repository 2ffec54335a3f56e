package cmd

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// podKinds are those whose pods or templates may say that they serve metrics.
var podKinds = []policy.Kind{policy.KindPod, policy.KindDeployment, policy.KindStatefulSet, policy.KindDaemonSet}

// scrapes reads what Prometheus collects from. Where no pod looks like Prometheus
// the monitors alone are read, so that it can be told.
func (r *factReader) scrapes(w *world) {
	r.monitors(w)
	if !slices.ContainsFunc(w.snap.Endpoints, func(ep *policy.Endpoint) bool {
		return ep.Labels["app.kubernetes.io/name"] == "prometheus" || ep.Labels["app"] == "prometheus" || ep.Labels["k8s-app"] == "prometheus"
	}) {
		return
	}
	kinds := podKinds
	if _, server := r.store.(cluster.Server); server {
		kinds = kinds[:1] // there the pods are
	}
	for _, kind := range kinds {
		for _, u := range r.list("metrics", kind, "") {
			path := []string{"metadata", "annotations"}
			if kind != policy.KindPod {
				path = []string{"spec", "template", "metadata", "annotations"}
			}
			if s, ok := annotated(u, path...); ok {
				s.Pod = u.GetName()
				r.facts.Scrapes = append(r.facts.Scrapes, s)
			}
		}
	}
	for _, u := range r.list("metrics", policy.KindService, "") {
		s, ok := annotated(u, "metadata", "annotations")
		svc := w.snap.Service(s.Namespace, u.GetName())
		switch {
		case !ok || svc == nil || len(svc.Selector) == 0:
		case s.Port != 0: // of the pods
			s.Selector = labels.SelectorFromSet(svc.Selector)
			r.facts.Scrapes = append(r.facts.Scrapes, s)
		default:
			for i := range svc.Ports {
				s.Service, s.PortName = svc.Name, svc.Ports[i].Name
				r.facts.Scrapes = append(r.facts.Scrapes, s)
			}
		}
	}
}

// annotated is what prometheus.io's annotations say; without a port they mean
// every one that is declared.
func annotated(u *unstructured.Unstructured, path ...string) (stage.Scrape, bool) {
	notes, _, _ := unstructured.NestedStringMap(u.Object, path...)
	return stage.Scrape{
		Who: "annotation prometheus.io/scrape", Namespace: cluster.KeyOf(u).Namespace, Port: uint16(intOf(notes["prometheus.io/port"])),
	}, notes["prometheus.io/scrape"] == "true"
}

// monitors reads the Prometheus operator's kinds, where they are.
func (r *factReader) monitors(w *world) {
	for _, u := range r.list("metrics", "PodMonitor.monitoring.coreos.com", "") {
		r.monitor(w, u, "podMetricsEndpoints", func(s stage.Scrape, picks labels.Selector) {
			s.Selector = picks
			r.facts.Scrapes = append(r.facts.Scrapes, s)
		})
	}
	for _, u := range r.list("metrics", "ServiceMonitor.monitoring.coreos.com", "") {
		services := r.list("metrics", policy.KindService, "")
		r.monitor(w, u, "endpoints", func(s stage.Scrape, picks labels.Selector) {
			for _, found := range services {
				if cluster.KeyOf(found).Namespace == s.Namespace && picks.Matches(labels.Set(found.GetLabels())) {
					r.service(w.snap.Service(s.Namespace, found.GetName()), s)
				}
			}
		})
	}
}

// monitor calls each for every namespace and port of a monitor, with what picks
// the pods or Services.
func (r *factReader) monitor(w *world, u *unstructured.Unstructured, field string, each func(stage.Scrape, labels.Selector)) {
	who := u.GetKind() + " " + u.GetName()
	var by metav1.LabelSelector
	raw, _, _ := unstructured.NestedMap(u.Object, "spec", "selector")
	err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &by)
	picks, wrong := metav1.LabelSelectorAsSelector(&by)
	if err != nil || wrong != nil {
		r.facts.NotChecked = append(r.facts.NotChecked, "metrics: "+who+": its selector can't be read")
		return
	}
	ends, _, _ := unstructured.NestedSlice(u.Object, "spec", field)
	for _, e := range ends {
		m, _ := e.(map[string]any)
		s := stage.Scrape{Who: who}
		s.PortName, _ = m["port"].(string)
		if s.PortName == "" {
			s.PortName, _ = m["targetPort"].(string)
			s.Port = uint16(max(intOf(m["portNumber"]), intOf(m["targetPort"])))
		}
		if s.PortName == "" && s.Port == 0 {
			continue
		}
		for _, ns := range r.monitored(w, u) {
			s.Namespace = ns
			each(s, picks)
		}
	}
}

// monitored are the namespaces that a monitor is about.
func (r *factReader) monitored(w *world, u *unstructured.Unstructured) []string {
	namespaces, _, _ := unstructured.NestedStringSlice(u.Object, "spec", "namespaceSelector", "matchNames")
	if all, _, _ := unstructured.NestedBool(u.Object, "spec", "namespaceSelector", "any"); all {
		namespaces = nil
		for _, ns := range w.snap.Namespaces {
			namespaces = append(namespaces, ns.Name)
		}
	} else if len(namespaces) == 0 {
		namespaces = []string{cluster.KeyOf(u).Namespace}
	}
	return namespaces
}

// service adds the pods behind a Service: at a port of its own by name, else at
// one of theirs (targetPort).
func (r *factReader) service(svc *policy.Service, s stage.Scrape) {
	switch {
	case svc == nil:
		return
	case slices.ContainsFunc(svc.Ports, func(p policy.ServicePort) bool { return p.Name == s.PortName && s.PortName != "" }):
		s.Service = svc.Name
	case len(svc.Selector) == 0:
		return // no pods
	default:
		s.Selector = labels.SelectorFromSet(svc.Selector)
	}
	r.facts.Scrapes = append(r.facts.Scrapes, s)
}
