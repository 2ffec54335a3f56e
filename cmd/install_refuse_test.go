package cmd

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/install"
	"github.com/netpol-project/netpol/internal/kubetest"
)

// daemonSet is one as a cluster's network plugin has it.
func daemonSet(namespace, name, image string) string {
	return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + namespace + "}\n---\n" +
		"apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: " + name + ", namespace: " + namespace + "}\n" +
		"spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: '" + image + "'}]}}}\n"
}

// Beside Calico there is nothing to install, and beside others it takes --force.
func TestClusterInstallBesideOthers(t *testing.T) {
	s := newSite(t, kubetest.Options{})
	for _, c := range []struct {
		about, manifest string
		says            []string
		forced          bool // --force goes on
	}{
		{"Calico's own kinds", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: bgppeers.projectcalico.org}\n" +
			"spec: {group: projectcalico.org, scope: Cluster, names: {kind: BGPPeer, plural: bgppeers}, versions: [{name: v3, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]}\n",
			[]string{"netpol works with it as it is", "CustomResourceDefinition bgppeers.projectcalico.org, which netpol has not made"}, false},
		{"Calico's API server", "apiVersion: apiregistration.k8s.io/v1\nkind: APIService\nmetadata: {name: v3.projectcalico.org}\n" +
			"spec: {group: projectcalico.org, version: v3, groupPriorityMinimum: 1500, versionPriority: 200, insecureSkipTLSVerify: true, service: {name: calico-api, namespace: calico-apiserver}}\n",
			[]string{"netpol works with it as it is", "APIService v3.projectcalico.org, answered by Service calico-apiserver/calico-api"}, false},
		{"calico-node", daemonSet("calico-system", "calico-node", "quay.io/calico/node:v3.31.0"), []string{"DaemonSet calico-system/calico-node"}, false},
		{"Canal", daemonSet("kube-flannel", "canal", "rancher/hardened-calico:v3"), []string{"DaemonSet kube-flannel/canal"}, false},
		{"Calico under another name", daemonSet("cni", "net", "docker.io/calico/node:v3.30.1"), []string{"DaemonSet cni/net"}, false},
		{"the operator", "apiVersion: v1\nkind: Namespace\nmetadata: {name: tigera-operator}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: tigera-operator, namespace: tigera-operator}\n" +
			"spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: x}]}}}\n",
			[]string{"Deployment tigera-operator/tigera-operator"}, false},
		{"Cilium", daemonSet("kube-system2", "cilium", "quay.io/cilium/cilium:v1.18.0"),
			[]string{"would have to be allowed by both", "Cilium (DaemonSet kube-system2/cilium)", "--force"}, true},
		{"k3s", "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {nodeInfo: {kubeletVersion: v1.33.1+k3s1, machineID: '', systemUUID: '', bootID: '', kernelVersion: '', osImage: '', containerRuntimeVersion: '', kubeProxyVersion: '', operatingSystem: linux, architecture: amd64}}\n",
			[]string{"k3s (v1.33.1+k3s1 on Node n1), unless its servers run with --disable-network-policy"}, true},
	} {
		t.Run(c.about, func(t *testing.T) {
			s.plane.Apply(t, c.manifest)
			defer s.deleteLast(t, c.manifest)
			code, _, errs := s.netpol(t, "install", "--dry-run=server")
			for _, want := range c.says {
				if !strings.Contains(errs, want) {
					t.Errorf("no %q in %s", want, errs)
				}
			}
			if len(c.says) > 0 && code != 2 {
				t.Errorf("exit code %d", code)
			}
			if code, _, errs = s.netpol(t, "install", "--dry-run=server", "--force"); (code == 0) != c.forced {
				t.Errorf("--force: %d %s", code, errs)
			}
		})
	}
	if have := s.ours(t); len(have) > 0 {
		t.Errorf("%v", have)
	}
}

// deleteLast deletes the last object of a manifest.
func (s *realCluster) deleteLast(t *testing.T, manifest string) {
	t.Helper()
	docs := strings.Split(manifest, "---\n")
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(docs[len(docs)-1]), &u.Object); err != nil {
		t.Fatal(err)
	}
	for kind, r := range map[string]schema.GroupVersionResource{
		"DaemonSet": gvr("apps", "v1", "daemonsets"), "Deployment": gvr("apps", "v1", "deployments"), "Node": gvr("", "v1", "nodes"),
		"APIService": gvr("apiregistration.k8s.io", "v1", "apiservices"), "CustomResourceDefinition": gvr("apiextensions.k8s.io", "v1", "customresourcedefinitions"),
	} {
		if kind != u.GetKind() {
			continue
		}
		if err := s.client.Resource(r).Namespace(u.GetNamespace()).Delete(t.Context(), u.GetName(), metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		kubetest.Eventually(t, u.GetName()+" is gone", func() bool { return s.get(t, r, u.GetNamespace(), u.GetName()) == nil })
	}
}

// What Helm has installed is Helm's to change.
func TestClusterInstallByHelm(t *testing.T) {
	s := newSite(t, kubetest.Options{})
	s.plane.Apply(t, strings.Replace(daemonSet(install.Namespace, install.AgentName, "x"), "metadata: {name: netpol-agent,",
		"metadata: {name: netpol-agent, labels: {app.kubernetes.io/part-of: netpol, app.kubernetes.io/managed-by: Helm}, annotations: {meta.helm.sh/release-name: np, meta.helm.sh/release-namespace: ops},", 1))
	for command, try := range map[string]string{
		"install":   "helm upgrade np deploy/helm/netpol -n ops",
		"uninstall": "helm uninstall np -n ops && netpol ",
	} {
		if code, _, errs := s.netpol(t, command); code != 2 || !strings.Contains(errs, "release np in namespace ops") || !strings.Contains(errs, try) {
			t.Errorf("%s: %d %s", command, code, errs)
		}
	}
}

// A user who may not install is told which right is missing.
func TestClusterInstallWithoutRights(t *testing.T) {
	s := newSite(t, kubetest.Options{})
	s.kubeconfig = s.plane.Kubeconfig(t, s.plane.User(t, "mia"), "")
	code, _, errs := s.netpol(t, "install")
	if code != 2 || !strings.Contains(errs, "you may not list") || !strings.Contains(errs, "cluster-admin") {
		t.Errorf("%d %s", code, errs)
	}
}
