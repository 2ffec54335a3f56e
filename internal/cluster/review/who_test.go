package review_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/internal/cluster/review"
	"github.com/netpol-project/netpol/internal/flowserver"
)

// One user asks many things at a time, and the answers repeat who asked.
func TestAccessLeavesTheUserAlone(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"spec":{"user":"x","groups":["changed"],"extra":{"added":["1"]}},"status":{"allowed":true}}`)
	}))
	defer server.Close()
	client, err := review.New(&rest.Config{Host: server.URL}, "netpol-system")
	if err != nil {
		t.Fatal(err)
	}
	user := flowserver.User{Name: "eva", Groups: []string{"readers"}, Extra: map[string][]string{"a": {"b"}}}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			may, err := client.Access(t.Context(), user, flowserver.Access{Verb: "list", Resource: "flows"})
			if !may || err != nil {
				t.Errorf("want yes, got %t, %v", may, err)
			}
		})
	}
	wait.Wait()
	if user.Groups[0] != "readers" || len(user.Extra) != 1 {
		t.Errorf("the user has changed: %+v", user)
	}
}
