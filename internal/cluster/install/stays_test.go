package install

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// The CNI plugin goes with an agent's pod that no other one follows.
func TestWhoComesAfterAnAgentsPod(t *testing.T) {
	const ds = `spec: {template: {spec: {nodeSelector: {kubernetes.io/os: linux}, containers: [{name: agent}, {name: cni, args: [--bin-dir=/b, --conf-dir=/c]}], tolerations: TOLERATIONS}}}`
	for about, c := range map[string]struct{ ds, node, says string }{
		"the next one":         {ds, `metadata: {labels: {kubernetes.io/os: linux}}`, ""},
		"a version without it": {strings.Replace(ds, "name: cni", "name: other", 1), `metadata: {labels: {kubernetes.io/os: linux}}`, "without the plugin"},
		"other directories":    {strings.Replace(ds, "/c", "/d", 1), `metadata: {labels: {kubernetes.io/os: linux}}`, "other directories"},
		"a node left out":      {ds, `metadata: {labels: {kubernetes.io/os: other}}`, "not for this node"},
		"a node cordoned":      {ds, `{metadata: {labels: {kubernetes.io/os: linux}}, spec: {taints: [{key: node.kubernetes.io/unschedulable, effect: NoSchedule}]}}`, ""},
		"a taint that evicts":  {ds, `{metadata: {labels: {kubernetes.io/os: linux}}, spec: {taints: [{key: gone, effect: NoExecute}]}}`, "taint gone"},
		"a taint tolerated":    {strings.Replace(ds, "TOLERATIONS", "[{operator: Exists}]", 1), `{metadata: {labels: {kubernetes.io/os: linux}}, spec: {taints: [{key: gone, effect: NoExecute}]}}`, ""},
	} {
		var d appsv1.DaemonSet
		var n corev1.Node
		if err := yaml.Unmarshal([]byte(strings.Replace(c.ds, "TOLERATIONS", "[]", 1)), &d); err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal([]byte(c.node), &n); err != nil {
			t.Fatal(err)
		}
		got := leaves(&d, &n, []string{"--bin-dir=/b", "--conf-dir=/c"})
		if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", about, got, c.says)
		}
	}
}
