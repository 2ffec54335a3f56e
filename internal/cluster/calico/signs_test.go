package calico

import (
	"encoding/json"
	"slices"
	"testing"
)

// Calico's agent is known by name and by image, whatever its DaemonSet is called.
func TestCalicosAgentIsKnownByItsDaemonSet(t *testing.T) {
	for about, c := range map[string]struct {
		name, containers string
		is               bool
		image            string
	}{
		"calico-node":                 {"calico-node", `[{"name":"calico-node","image":"quay.io/calico/node:v3.31.0"}]`, true, "quay.io/calico/node:v3.31.0"},
		"Canal":                       {"canal", `[{"name":"kube-flannel","image":"f"},{"name":"calico-node","image":"rancher/hardened-calico:v3"}]`, true, "rancher/hardened-calico:v3"},
		"another name":                {"net", `[{"name":"x","image":"docker.io/calico/node:v3.30.1"}]`, true, "docker.io/calico/node:v3.30.1"},
		"a mirror's name, by digest":  {"net", `[{"name":"x","image":"mirror.example/calico/node@sha256:0"}]`, true, "mirror.example/calico/node@sha256:0"},
		"a packaged one":              {"net", `[{"name":"x","image":"mirror.example/calico-node:v3"}]`, true, "mirror.example/calico-node:v3"},
		"Calico's other DaemonSets":   {"csi-node-driver", `[{"name":"calico-csi","image":"quay.io/calico/csi:v3.31.0"}]`, false, ""},
		"an application of that word": {"calico-exporter", `[{"name":"x","image":"example/exporter:v1"}]`, false, ""},
		"netpol's own":                {"netpol-agent", `[{"name":"agent","image":"ghcr.io/netpol-project/netpol:v0.1.0"}]`, false, ""},
	} {
		var d daemonSet
		if err := json.Unmarshal([]byte(`{"metadata":{"namespace":"n","name":"`+c.name+`"},"spec":{"template":{"spec":{"containers":`+c.containers+`}}}}`), &d); err != nil {
			t.Fatal(err)
		}
		a, is := agentOf(&d)
		if is != c.is || is && (a.Image != c.image || a.Name != c.name || a.Namespace != "n") {
			t.Errorf("%s: %v %+v", about, is, a)
		}
	}
}

func TestSignsOfCalico(t *testing.T) {
	f := &Facts{Service: "calico-apiserver/calico-api", Operator: "tigera-operator/tigera-operator", Agents: []Agent{{Namespace: "a", Name: "net"}}}
	want := []string{"APIService v3.projectcalico.org, answered by Service calico-apiserver/calico-api", "Deployment tigera-operator/tigera-operator", "DaemonSet a/net"}
	if got := f.signs(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := (&Facts{Groups: []string{"projectcalico.org"}}).signs(); len(got) > 0 {
		t.Errorf("%q", got)
	}
}
