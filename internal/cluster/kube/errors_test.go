package kube_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Whatever a server refuses, users are told what was asked of it and what to
// type next.
func TestErrorsSayWhatAndWhatNext(t *testing.T) {
	key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "db"}
	for name, tc := range map[string]struct {
		code         int
		body         string
		says, try    string
		isNotFound   bool
		isAConflict  bool
		whereContain string
	}{
		"no right":     {code: 403, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403,"message":"User \"eve\" cannot get it"}`, says: "you may not get networkpolicies db of API group projectcalico.org in namespace vote", try: "kubectl --context test auth can-i get networkpolicies.projectcalico.org/db -n vote", whereContain: "eve"},
		"credentials":  {code: 401, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Unauthorized","code":401,"message":"Unauthorized"}`, says: "the API server does not know who you are", try: "kubectl --context test auth whoami"},
		"not there":    {code: 404, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404,"message":"no"}`, says: "no networkpolicies.projectcalico.org db in namespace vote", try: "kubectl --context test get networkpolicies.projectcalico.org -n vote", isNotFound: true},
		"out of order": {code: 500, body: `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"InternalError","code":500,"message":"etcd is gone"}`, says: "the API server refused to get networkpolicies.projectcalico.org db in namespace vote", try: "kubectl --context test", whereContain: "etcd is gone"},
		"no Status":    {code: 502, body: "<html>bad gateway</html>", says: "the API server refused to get", try: "kubectl --context test"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tc.code)
				_, _ = w.Write([]byte(tc.body))
			}))
			defer server.Close()
			_, err := open(t, &rest.Config{Host: server.URL}, kube.Options{}).Get(t.Context(), key)
			var failure *cluster.Failure
			if !errors.As(err, &failure) {
				t.Fatalf("got %T: %v", err, err)
			}
			if !strings.HasPrefix(failure.What, tc.says) || !strings.HasPrefix(failure.Try, tc.try) || !strings.Contains(strings.Join(failure.Where, "\n"), tc.whereContain) {
				t.Errorf("got %+v", failure)
			}
			if errors.Is(err, cluster.ErrNotFound) != tc.isNotFound {
				t.Errorf("not found: %v", !tc.isNotFound)
			}
		})
	}
}

func TestErrorsOfAServerThatIsNotThere(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	for url, says := range map[string]string{
		closed.URL: "the API server " + closed.URL + " (context test) can't be reached",
		slow.URL:   "the API server " + slow.URL + " (context test) did not answer within 50ms",
	} {
		_, _, err := open(t, &rest.Config{Host: url}, kube.Options{Timeout: 50 * time.Millisecond}).Snapshot(t.Context())
		var failure *cluster.Failure
		if !errors.As(err, &failure) || failure.What != says || failure.Try != "kubectl --context test cluster-info" || !strings.HasPrefix(failure.Where[1], "for: list ") {
			t.Errorf("got %+v", err)
		}
	}
	if _, err := kube.OpenStore(t.Context(), &kube.Conn{Config: &rest.Config{Host: "::bad", TLSClientConfig: rest.TLSClientConfig{CAFile: "/nowhere"}}}, kube.Options{}); err == nil || !strings.Contains(err.Error(), "makes no connection") {
		t.Errorf("got %v", err)
	}
}
