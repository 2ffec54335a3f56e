package cmd

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// readFacts reads what the API server calls and what metrics are collected from.
// What may not be read is named, not fatal.
func readFacts(ctx context.Context, w *world, facts *stage.Facts) {
	r := &factReader{ctx: ctx, store: w.store, facts: facts}
	for _, kind := range []string{"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"} {
		for _, u := range r.list("webhooks", policy.Kind(kind+".admissionregistration.k8s.io"), "") {
			hooks, _, _ := unstructured.NestedSlice(u.Object, "webhooks")
			for _, h := range hooks {
				if m, ok := h.(map[string]any); ok {
					r.call(u, m, "clientConfig", "service")
				}
			}
		}
	}
	for _, u := range r.list("conversion webhooks", "CustomResourceDefinition.apiextensions.k8s.io", "") {
		r.call(u, u.Object, "spec", "conversion", "webhook", "clientConfig", "service")
	}
	for _, u := range r.list("aggregated APIs", "APIService.apiregistration.k8s.io", "") {
		r.call(u, u.Object, "spec", "service")
	}
	r.scrapes(w)
}

type factReader struct {
	ctx   context.Context //nolint:containedctx // lives for one call
	store cluster.Store
	facts *stage.Facts
}

// list reads the resources of a kind; none where there is no such kind, or where
// it may not be read.
func (r *factReader) list(what string, kind policy.Kind, namespace string) []*unstructured.Unstructured {
	list, err := r.store.List(r.ctx, kind, namespace)
	if err != nil && !errors.Is(err, cluster.ErrNotFound) {
		note := what + ": " + firstLine(err.Error())
		if !slices.Contains(r.facts.NotChecked, note) {
			r.facts.NotChecked = append(r.facts.NotChecked, note)
		}
	}
	return list
}

// call adds the Service that a resource names, if it does.
func (r *factReader) call(u *unstructured.Unstructured, in map[string]any, path ...string) {
	service, ok, _ := unstructured.NestedMap(in, path...)
	if !ok {
		return
	}
	name, _, _ := unstructured.NestedString(service, "name")
	namespace, _, _ := unstructured.NestedString(service, "namespace")
	port := intOf(service["port"])
	if port == 0 {
		port = 443
	}
	r.facts.Calls = append(r.facts.Calls, stage.Call{Who: u.GetKind() + " " + u.GetName(), Namespace: namespace, Service: name, Port: uint16(port)})
}

// intOf is a number of YAML or JSON as a port; 0 if it is none.
func intOf(v any) int64 {
	var n int64
	switch v := v.(type) {
	case int64:
		n = v
	case int:
		n = int64(v)
	case float64:
		n = int64(v)
	case string:
		n, _ = strconv.ParseInt(v, 10, 64)
	}
	if n < 0 || n > 65535 {
		return 0
	}
	return n
}
