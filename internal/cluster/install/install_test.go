package install

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestWhyAPodIsNotReady(t *testing.T) {
	for about, c := range map[string][2]string{
		"an image that can't be pulled": {
			`{containerStatuses: [{state: {waiting: {reason: ImagePullBackOff, message: Back-off pulling image}}}], phase: Pending}`,
			"ImagePullBackOff: Back-off pulling image"},
		"a container that ends": {
			`{initContainerStatuses: [{state: {terminated: {reason: Error}}}], containerStatuses: [{state: {waiting: {reason: PodInitializing}}}]}`, "Error"},
		"a first container that is done": {
			`{initContainerStatuses: [{state: {terminated: {reason: Completed}}}], containerStatuses: [{state: {waiting: {reason: CrashLoopBackOff}}}]}`, "CrashLoopBackOff"},
		"no node": {
			`{phase: Pending, conditions: [{type: PodScheduled, status: "False", message: 0/3 nodes are available}]}`, "0/3 nodes are available"},
		"nothing said": {`{phase: Running}`, "not ready (Running)"},
	} {
		if got := whyNot(parse(t, "status: "+c[0])); got != c[1] {
			t.Errorf("%s: %q, want %q", about, got, c[1])
		}
	}
}

func TestNodeOfAPod(t *testing.T) {
	for want, spec := range map[string]string{
		"n1": `{nodeName: n1}`,
		"n2": `{affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [
			{matchFields: [{key: metadata.name, operator: In, values: [n2]}]}]}}}}`,
		"no node yet": `{}`,
	} {
		if got := nodeOf(parse(t, "spec: "+strings.ReplaceAll(spec, "\t", ""))); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What DaemonSets of well-known programs look like.
func TestEnforcersAreKnownByTheirDaemonSets(t *testing.T) {
	for about, c := range map[string]struct{ name, container, want string }{
		"Cilium":                        {"cilium", `{image: "quay.io/cilium/cilium:v1.18.0@sha256:0"}`, "Cilium"},
		"Cilium under another name":     {"cni", `{image: "quay.io/cilium/cilium:v1.18.0"}`, "Cilium"},
		"Antrea":                        {"antrea-agent", `{image: antrea/antrea-agent-ubuntu:v2}`, "Antrea"},
		"kube-router":                   {"kube-router", `{image: docker.io/cloudnativelabs/kube-router}`, "kube-router"},
		"kube-network-policies":         {"kube-network-policies", `{image: registry.k8s.io/networking/kube-network-policies:v1}`, "kube-network-policies"},
		"kindnet":                       {"kindnet", `{image: "docker.io/kindest/kindnetd:v20250512"}`, "kindnet"},
		"AWS with network policies":     {"aws-node", `{image: x/amazon/aws-network-policy-agent:v1, args: [--enable-network-policy=true]}`, "the AWS VPC CNI's network policy agent"},
		"AWS without network policies":  {"aws-node", `{image: x/amazon/aws-network-policy-agent:v1, args: [--enable-network-policy=false]}`, ""},
		"flannel":                       {"kube-flannel-ds", `{image: ghcr.io/flannel-io/flannel:v0.27.0}`, ""},
		"kube-proxy":                    {"kube-proxy", `{image: registry.k8s.io/kube-proxy:v1.37.0}`, ""},
		"an application that looks so":  {"cilium-dashboards", `{image: registry.example/dash:v1}`, ""},
		"an exporter of another's name": {"x", `{image: registry.example/cilium/exporter:v1}`, ""},
	} {
		u := parse(t, "metadata: {name: "+c.name+"}\nspec: {template: {spec: {containers: ["+c.container+"]}}}")
		got := ""
		for _, e := range enforcers {
			if e.matches(u) {
				got = e.product
				break
			}
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", about, got, c.want)
		}
	}
}

func TestProgress(t *testing.T) {
	for want, p := range map[string]Progress{
		"agents ready on 1/2 nodes":                         {Nodes: 2, Ready: 1, seen: true},
		"agents ready on 2/2 nodes, flows server not ready": {Nodes: 2, Ready: 2, Flows: true, seen: true},
	} {
		if p.String() != want || p.Done() {
			t.Errorf("%q, done %v", p, p.Done())
		}
	}
	if p := (Progress{Nodes: 2, Ready: 2, Flows: true, FlowsReady: true}); p.Done() {
		t.Error("done before the controllers have looked")
	}
}
