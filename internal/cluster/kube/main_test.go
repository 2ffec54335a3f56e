package kube_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/kubetest"
	"github.com/netpol-project/netpol/pkg/policy"
)

var plane kubetest.Shared

func TestMain(m *testing.M) { os.Exit(plane.Around(m).Run()) }

// calicoKinds are the resources of projectcalico.org, by kind.
var calicoKinds = map[string]bool{ // namespaced
	"NetworkPolicy": true, "StagedNetworkPolicy": true, "StagedKubernetesNetworkPolicy": true, "NetworkSet": true,
	"GlobalNetworkPolicy": false, "StagedGlobalNetworkPolicy": false, "Tier": false, "GlobalNetworkSet": false, "HostEndpoint": false,
}

// crds are definitions that take anything: what they refuse is not what is
// tested here.
func crds() []string {
	var out []string
	for kind, namespaced := range calicoKinds {
		res, _ := kube.ResourceOf(policy.Kind(kind))
		scope := map[bool]string{true: "Namespaced", false: "Cluster"}[namespaced]
		out = append(out, fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.projectcalico.org}
spec:
  group: projectcalico.org
  scope: %[2]s
  names: {kind: %[3]s, listKind: %[3]sList, plural: %[1]s, singular: %[4]s}
  versions:
  - name: v3
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, res.GroupVersionResource.Resource, scope, kind, strings.ToLower(kind)))
	}
	return out
}

// open opens a store on a connection.
func open(t testing.TB, config *rest.Config, opts kube.Options) *kube.Store {
	t.Helper()
	store, err := kube.OpenStore(t.Context(), &kube.Conn{Config: config, Context: "test", Namespace: "default"}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

func object(t testing.TB, manifest string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(manifest), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func np(namespace, name string, port int) string {
	return fmt.Sprintf(`apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: %s, namespace: %s}
spec:
  tier: default
  order: %d
  selector: app == 'db' && !has(x)
  types: [Ingress]
  ingress:
  - {action: Allow, protocol: TCP, destination: {ports: [%d]}}
`, name, namespace, port, port)
}

// await takes states until one satisfies.
func await(t testing.TB, ch <-chan cluster.State, what string, ok func(cluster.State) bool) cluster.State {
	t.Helper()
	late := time.After(60 * time.Second)
	for {
		select {
		case s, open := <-ch:
			if !open {
				t.Fatalf("%s: the watch ended", what)
			}
			if ok(s) {
				return s
			}
		case <-late:
			t.Fatalf("%s: nothing came", what)
		}
	}
}

func change(t testing.TB, s *kube.Store, changes ...cluster.Change) []cluster.Result {
	t.Helper()
	results, err := s.Change(context.Background(), changes, false)
	if err != nil {
		t.Fatal(err)
	}
	return results
}
