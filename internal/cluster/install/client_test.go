package install

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
)

// on is a client for a server that answers as serve does.
func on(t *testing.T, serve http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(serve)
	t.Cleanup(server.Close)
	c, err := New(&kube.Conn{Config: &rest.Config{Host: server.URL}, Context: "test"}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Whatever the server refuses, users are told what next, and of a conflict only
// what the server said of it.
func TestErrorsOfApplyingSayWhatNext(t *testing.T) {
	const field = `"causes":[{"reason":"FieldManagerConflict","message":"conflict with \"gitops\"","field":".data"}]`
	u := parse(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: m, namespace: netpol-system}}`)
	for about, c := range map[string]struct {
		code            int
		reason, details string
		says, try       string
		conflict        bool
	}{
		"fields of others":     {409, "Conflict", field, "configmap/m was not changed: others manage fields that would change: gitops manages data", "netpol install --force-conflicts", true},
		"another who is first": {409, "Conflict", "", "somebody else changed it at the same time", "the same again", false},
		"credentials":          {401, "Unauthorized", "", "the API server does not know who you are", "kubectl --context test auth whoami", false},
		"a right":              {403, "Forbidden", "", "you may not apply configmap/m", "cluster-admin", false},
		"a server in trouble":  {500, "InternalError", "", "the API server refused to apply configmap/m", "kubectl --context test get --raw", false},
	} {
		client := on(t, func(w http.ResponseWriter, r *http.Request) {
			code, reason := c.code, c.reason
			if r.Method == http.MethodGet {
				code, reason = 404, "NotFound"
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"no","details":{%s}}`, reason, code, c.details)
		})
		_, err := client.apply(t.Context(), u, ApplyOptions{})
		var f *cluster.Failure
		if !errors.As(err, &f) || !strings.Contains(err.Error(), c.says) || !strings.Contains(f.Try, c.try) || errors.Is(err, cluster.ErrConflict) != c.conflict {
			t.Errorf("%s: %v; try %+v", about, err, f)
		}
	}
}

// What is counted before everything is purged is counted by pages, and what
// netpol brought itself is not counted.
func TestCountingByPages(t *testing.T) {
	var all []map[string]any
	for i := range 1200 {
		all = append(all, map[string]any{"metadata": map[string]any{"name": fmt.Sprint("p", i), "namespace": fmt.Sprint("ns", i%3)}})
	}
	all = append(all, map[string]any{"metadata": map[string]any{"name": "ours", "namespace": "netpol-system", "labels": map[string]any{"app.kubernetes.io/part-of": "netpol"}}})
	c := on(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if !strings.HasSuffix(r.URL.Path, "/projectcalico.org/v3/networkpolicies") {
			w.WriteHeader(404)
			fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
			return
		}
		from, limit := 0, 0
		_, _ = fmt.Sscan(r.URL.Query().Get("continue"), &from)
		_, _ = fmt.Sscan(r.URL.Query().Get("limit"), &limit)
		meta := map[string]any{"resourceVersion": "1"}
		to := min(from+limit, len(all))
		if to < len(all) {
			meta["continue"] = fmt.Sprint(to)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": slices.Clone(all[from:to])})
	})
	policies, namespaces, err := c.Policies(t.Context())
	if err != nil || policies != 1200 || namespaces != 3 {
		t.Errorf("%d policies in %d namespaces, %v", policies, namespaces, err)
	}
}
