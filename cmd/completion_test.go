package cmd

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/goldmanetest"
)

// complete is what the last of args completes to, and what a terminal would
// show besides.
func complete(t *testing.T, program string, args ...string) (lines []string, stderr string) {
	t.Helper()
	t.Setenv("NETPOL_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	var out, errs bytes.Buffer
	streams := &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}
	if program == "netpol" {
		args = append([]string{"__complete"}, args...)
	}
	if code := Run(t.Context(), streams, append([]string{program}, args...)); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, l := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if !strings.HasPrefix(l, ":") { // the directive for the shell
			lines = append(lines, l)
		}
	}
	return lines, errs.String()
}

// list is a list as an API server answers.
func list(items ...map[string]any) map[string]any {
	return map[string]any{"metadata": map[string]any{"resourceVersion": "1"}, "items": items}
}

func item(namespace, name string, spec map[string]any) map[string]any {
	meta := map[string]any{"name": name, "uid": namespace + name, "resourceVersion": "1"}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	return map[string]any{"metadata": meta, "spec": spec}
}

func TestCompletionOfLiveNames(t *testing.T) {
	c := goldmanetest.NewCluster(t, goldmanetest.Start(t), "v3.31.2")
	c.Documents["/apis/projectcalico.org/v3/tiers"] = list(item("", "platform", map[string]any{"order": 1}))
	c.Documents["/apis/projectcalico.org/v3/networkpolicies"] = list(item("vote", "platform.db", map[string]any{"tier": "platform"}))
	c.Documents["/apis/projectcalico.org/v3/stagednetworkpolicies"] = list(item("vote", "web", nil), item("blog", "other", nil))
	c.Documents["/api/v1/namespaces"] = list(item("", "vote", nil), item("", "blog", nil))
	c.Documents["/api/v1/pods"] = list(map[string]any{"metadata": map[string]any{"name": "db-0", "namespace": "vote", "uid": "p", "resourceVersion": "1",
		"ownerReferences": []any{map[string]any{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "s", "controller": true}}}, "spec": map[string]any{}})
	config := c.Kubeconfig(t)
	for _, program := range []string{"netpol", kubectlCompleter} {
		for want, args := range map[string][]string{
			"blog,vote":         {"get", "policies", "-n", ""},
			"db":                {"stage", "-n", "vote", "d"},
			"web":               {"enforce", "-n", "vote", ""},
			"platform":          {"policy", "move", "db", "--tier", "plat"},
			"vote/db":           {"flows", "--to", ""},
			"db,other,web":      {"policy", "move", ""},
			"db-0":              {"get", "pods", ""},
			"vote/db,vote/db-0": {"explain", ""}, // a workload and a pod of it
		} {
			got, errs := complete(t, program, append([]string{"--kubeconfig", config}, args...)...)
			if !strings.Contains(","+strings.Join(got, ",")+",", ","+want+",") {
				t.Errorf("%s %v: %v, want %s", program, args, got, want)
			}
			if strings.Contains(errs, "error") || strings.Contains(errs, "warning") {
				t.Errorf("%s %v says %s", program, args, errs)
			}
		}
	}
}

// A cluster that does not answer, or refuses, completes to nothing, soon and
// without a word.
func TestCompletionWithoutAnAnswer(t *testing.T) {
	hang := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(silent.Close)
	t.Cleanup(func() { close(hang) })
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	t.Cleanup(refusing.Close)
	for name, url := range map[string]string{"silent": silent.URL, "refusing": refusing.URL, "down": "http://127.0.0.1:1"} {
		config := (&goldmanetest.Cluster{URL: url}).Kubeconfig(t)
		start := time.Now()
		got, errs := complete(t, kubectlCompleter, "--kubeconfig", config, "tier", "move", "")
		// The silent one would be silent for ever; how long a busy machine takes
		// beside says nothing.
		if len(got) > 0 && got[0] != "" || strings.Contains(errs, "error") || time.Since(start) > 10*completionTime {
			t.Errorf("%s: %v after %s, and says %q", name, got, time.Since(start), errs)
		}
	}
	broken := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(broken, []byte("a: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, errs := complete(t, "netpol", "--kubeconfig", broken, "get", "pods", "-n", ""); len(got) > 0 && got[0] != "" || strings.Contains(errs, "error") {
		t.Errorf("a broken kubeconfig: %v, and says %q", got, errs)
	}
}
