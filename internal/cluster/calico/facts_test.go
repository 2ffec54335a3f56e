package calico

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/internal/cluster/kube"
)

// Calico's own API server may be away. Where the API server itself says nothing,
// nobody knows whether there is a Calico, and nothing may be taken for granted.
func TestDetectTellsNothingFromNoAnswer(t *testing.T) {
	const groups = `{"groups":[{"name":"apps"},{"name":"projectcalico.org"},{"name":"crd.projectcalico.org"}]}`
	for about, c := range map[string]struct {
		groups string
		failed string // part of the paths that are not answered
		code   int
		says   string // in the error; empty: there is none
		api    API
	}{
		"Calico's API server is away": {groups, "/apis/projectcalico.org", 503, "", Down},
		"no discovery":                {groups, "/apis", 503, "look for Calico", NoAPI},
		"no DaemonSets":               {`{"groups":[{"name":"apps"}]}`, "/apis/apps/v1", 503, "look for Calico", NoAPI},
		"a list that fails":           {`{"groups":[{"name":"apps"}]}`, "/apis/apps/v1/daemonsets", 500, "look for Calico", NoAPI},
		"a list that is not allowed":  {`{"groups":[{"name":"apps"}]}`, "/apis/apps/v1/daemonsets", 403, "", NoAPI},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			code, reason := 404, "NotFound"
			if strings.HasPrefix(r.URL.Path, c.failed) {
				code, reason = c.code, map[int]string{403: "Forbidden", 500: "InternalError", 503: "ServiceUnavailable"}[c.code]
			}
			w.Header().Set("Content-Type", "application/json")
			switch {
			case r.URL.Path == "/apis" && c.failed != "/apis":
				fmt.Fprint(w, c.groups)
			case strings.HasSuffix(r.URL.Path, "/apiservices/v3.projectcalico.org"):
				fmt.Fprint(w, `{"spec":{"service":{"namespace":"a","name":"b"}},"status":{"conditions":[{"type":"Available","status":"False","reason":"MissingEndpoints"}]}}`)
			default:
				w.WriteHeader(code)
				fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"code":%d,"message":"no"}`, reason, code)
			}
		}))
		info, err := Detect(t.Context(), &kube.Conn{Config: &rest.Config{Host: server.URL}}, time.Minute)
		server.Close()
		switch {
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %+v, %v", about, info, err)
		case c.says == "" && (err != nil || info.API != c.api):
			t.Errorf("%s: %+v, %v", about, info, err)
		}
	}
}
