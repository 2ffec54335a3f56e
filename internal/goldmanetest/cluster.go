package goldmanetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/streaming/pkg/httpstream"
	"k8s.io/streaming/pkg/httpstream/spdy"
)

// Cluster is an API server of a cluster on which Calico enforces, with a
// Goldmane behind a port of its pod. It knows what leads there, and nothing
// else: everything else is not found.
type Cluster struct {
	URL string
	// Documents are what it answers, by path; tests may add to them.
	Documents map[string]any
	// Denied are paths that it refuses.
	Denied map[string]bool

	mu       sync.Mutex
	goldmane *Server
	forwards int
}

type object = map[string]any

// NewCluster serves until the test ends. version is Calico's.
func NewCluster(t testing.TB, goldmane *Server, version string) *Cluster {
	t.Helper()
	const system = "/api/v1/namespaces/calico-system/"
	group := func(name, version string) object {
		v := object{"groupVersion": name + "/" + version, "version": version}
		return object{"name": name, "versions": []any{v}, "preferredVersion": v}
	}
	c := &Cluster{goldmane: goldmane, Denied: map[string]bool{}, Documents: map[string]any{
		"/apis": object{"kind": "APIGroupList", "apiVersion": "v1", "groups": []any{group("projectcalico.org", "v3"), group("crd.projectcalico.org", "v1")}},
		"/apis/projectcalico.org/v3": object{"kind": "APIResourceList", "groupVersion": "projectcalico.org/v3", "resources": []any{
			object{"name": "networkpolicies", "kind": "NetworkPolicy", "namespaced": true}, object{"name": "felixconfigurations", "kind": "FelixConfiguration"},
		}},
		"/apis/apiregistration.k8s.io/v1/apiservices/v3.projectcalico.org": object{
			"spec":   object{"service": object{"namespace": "calico-apiserver", "name": "calico-api"}},
			"status": object{"conditions": []any{object{"type": "Available", "status": "True"}}},
		},
		"/apis/projectcalico.org/v3/clusterinformations/default": object{"spec": object{"calicoVersion": version}},
		"/apis/apps/v1/namespaces/calico-system/daemonsets/calico-node": object{
			"spec":   object{"template": object{"spec": object{"containers": []any{object{"name": "calico-node", "image": "quay.io/calico/node:" + version}}}}},
			"status": object{"desiredNumberScheduled": 1, "numberReady": 1},
		},
		system + "services/goldmane": object{"metadata": object{"name": "goldmane"}, "spec": object{"ports": []any{object{"port": 7443, "targetPort": 7443}}}},
		system + "pods": object{"items": []any{
			pod("goldmane-old", false, false), pod("goldmane-host", true, true), pod("goldmane-1", true, false),
		}},
		system + "secrets/whisker-backend-key-pair": object{"data": object{"tls.crt": goldmane.Certs.ClientCert, "tls.key": goldmane.Certs.ClientKey}},
		system + "configmaps/goldmane-ca-bundle":    object{"data": object{"tigera-ca-bundle.crt": string(goldmane.Certs.CA)}},
	}}
	s := httptest.NewServer(c)
	t.Cleanup(s.Close)
	c.URL = s.URL
	return c
}

func pod(name string, ready, host bool) object {
	status := map[bool]string{true: "True", false: "False"}[ready]
	return object{"metadata": object{"name": name}, "spec": object{"hostNetwork": host},
		"status": object{"conditions": []any{object{"type": "Ready", "status": status}}}}
}

// Config is a connection to it.
func (c *Cluster) Config() *rest.Config { return &rest.Config{Host: c.URL} }

// Kubeconfig is a file that names it.
func (c *Cluster) Kubeconfig(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: calico
contexts: [{name: calico, context: {cluster: calico, user: me}}]
clusters: [{name: calico, cluster: {server: %q}}]
users: [{name: me, user: {}}]
`, c.URL)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Forwards is how many ports were forwarded.
func (c *Cluster) Forwards() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.forwards
}

// ServeHTTP implements http.Handler.
func (c *Cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const forward = "/api/v1/namespaces/calico-system/pods/goldmane-1/portforward"
	path := r.URL.Path
	doc, known := c.Documents[path]
	switch {
	case c.Denied[path]:
		refuse(w, http.StatusForbidden, "Forbidden", path+" is forbidden")
	case path == forward:
		c.forward(w, r)
	case !known:
		refuse(w, http.StatusNotFound, "NotFound", path+" not found")
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(doc)
	}
}

func refuse(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code})
}

// forward joins a connection with the Goldmane, as a kubelet does, by SPDY.
func (c *Cluster) forward(w http.ResponseWriter, r *http.Request) {
	if _, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"}); err != nil {
		return
	}
	streams := make(chan httpstream.Stream, 2)
	conn := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error { streams <- s; return nil })
	if conn == nil {
		return
	}
	defer func() { _ = conn.Close() }()
	failures, data := <-streams, <-streams
	back, err := net.Dial("tcp", c.goldmane.Address)
	if err != nil || data.Headers().Get("port") != "7443" {
		_, _ = io.WriteString(failures, "nothing listens there")
		_ = failures.Close()
		return
	}
	defer func() { _ = back.Close() }()
	c.mu.Lock()
	c.forwards++
	c.mu.Unlock()
	go func() { _, _ = io.Copy(back, data) }()
	go func() { _, _ = io.Copy(data, back) }()
	<-conn.CloseChan()
}
