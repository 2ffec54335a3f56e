package review_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/internal/cluster/review"
)

// A port is forwarded to a pod that is ready and stays, and never to one in its
// node's network.
func TestPodsThatPortsAreForwardedTo(t *testing.T) {
	const is = `"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}`
	for about, c := range map[string]struct{ pod, want string }{
		"ready":                 {`{"metadata":{"name":"a"},` + is + `}`, "a"},
		"in the node's network": {`{"metadata":{"name":"a"},"spec":{"hostNetwork":true},` + is + `}`, ""},
		"going":                 {`{"metadata":{"name":"a","deletionTimestamp":"2026-01-01T00:00:00Z"},` + is + `}`, ""},
		"starting":              {`{"metadata":{"name":"a"},"status":{"phase":"Running"}}`, ""},
	} {
		client, err := review.New(&rest.Config{Host: "http://api.invalid", Transport: transport(func(r *http.Request) (*http.Response, error) {
			body := `{"metadata":{},"items":[` + c.pod + `]}`
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})}, "netpol-system")
		if err != nil {
			t.Fatal(err)
		}
		name, port, err := client.FlowsPod(t.Context())
		var none *review.NoServerError
		if name != c.want || (c.want == "") != errors.As(err, &none) || c.want != "" && port != 7443 {
			t.Errorf("%s: %q, %d, %v", about, name, port, err)
		}
	}
}
