package kubetest_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/netpol-project/netpol/internal/kubetest"
)

var cluster = kubetest.Shared{Options: kubetest.Options{
	Tokens: []kubetest.TokenUser{{Token: "sesame", Name: "tess", Groups: []string{"testers", "readers"}}},
}}

func TestMain(m *testing.M) { os.Exit(cluster.Around(m).Run()) }

func configMaps(t *testing.T, config *rest.Config, namespace string) error {
	t.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	resource := schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	_, err = client.Resource(resource).Namespace(namespace).List(context.Background(), metav1.ListOptions{})
	return err
}

func reader(namespace, kind, name string) string {
	return `
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: ` + namespace + `}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: ` + namespace + `}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ` + kind + `, name: ` + name + `, apiGroup: rbac.authorization.k8s.io}]
`
}

func TestClusterUsersHaveTheRightsOfRBAC(t *testing.T) {
	plane := cluster.Get(t)
	for _, user := range []struct {
		name, kind, subject string
		config              func(namespace string) *rest.Config
	}{
		{"a client certificate's name", "User", "eva", func(string) *rest.Config { return plane.User(t, "eva") }},
		{"a client certificate's group", "Group", "audit", func(string) *rest.Config { return plane.User(t, "ann", "audit", "x") }},
		{"a token's group", "Group", "readers", func(string) *rest.Config { return plane.Token("sesame") }},
		{"a service account", "Group", "system:serviceaccounts", func(namespace string) *rest.Config {
			return plane.ServiceAccount(t, namespace, "robot")
		}},
	} {
		t.Run(user.name, func(t *testing.T) {
			namespace := plane.Namespace(t)
			config := user.config(namespace)
			if err := configMaps(t, config, namespace); !apierrors.IsForbidden(err) {
				t.Fatalf("without a role: want forbidden, got %v", err)
			}
			plane.Apply(t, reader(namespace, user.kind, user.subject))
			kubetest.Eventually(t, "the role is in force", func() bool { return configMaps(t, config, namespace) == nil })
			if err := configMaps(t, config, "default"); !apierrors.IsForbidden(err) {
				t.Fatalf("in another namespace: want forbidden, got %v", err)
			}
		})
	}
	if err := configMaps(t, plane.Token("wrong"), "default"); !apierrors.IsUnauthorized(err) {
		t.Errorf("wrong token: want unauthorized, got %v", err)
	}
}

func TestClusterKubeconfigNamesUserAndNamespace(t *testing.T) {
	plane := cluster.Get(t)
	path := plane.Kubeconfig(t, plane.Admin(), "some")
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: path}, &clientcmd.ConfigOverrides{})
	namespace, _, err := loader.Namespace()
	if err != nil || namespace != "some" {
		t.Fatalf("namespace: %q, %v", namespace, err)
	}
	config, err := loader.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	if err := configMaps(t, config, "default"); err != nil {
		t.Fatal(err)
	}
}

const colors = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: colors.example.org}
spec:
  group: example.org
  scope: Cluster
  names: {kind: Color, plural: colors}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]
`

func TestClusterNothingIsLeftAfterATest(t *testing.T) {
	plane := cluster.Get(t)
	var namespace string
	t.Run("test", func(t *testing.T) {
		namespace = plane.Namespace(t)
		plane.CleanAfter(t, "example.org")
		plane.Apply(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: "+namespace+"}\n", colors,
			"apiVersion: example.org/v1\nkind: Color\nmetadata: {name: red}\n")
	})
	ctx := context.Background()
	for _, object := range []struct{ group, resource, name string }{
		{"", "namespaces", namespace}, {"example.org", "colors", "red"},
	} {
		gvr := schema.GroupVersionResource{Group: object.group, Version: "v1", Resource: object.resource}
		if _, err := plane.Dynamic(t).Resource(gvr).Get(ctx, object.name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("%s %s: want not found, got %v", object.resource, object.name, err)
		}
	}
}

func TestClusterOutageKeepsAddressAndData(t *testing.T) {
	plane := kubetest.New(t, kubetest.Options{})
	namespace := plane.Namespace(t)
	host := plane.Host()
	plane.KillAPIServer()
	if err := configMaps(t, plane.Admin(), namespace); err == nil {
		t.Fatal("the API server answers while it is down")
	}
	if err := plane.StartAPIServer(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := plane.Restart(context.Background()); err != nil {
		t.Fatal(err)
	}
	if plane.Host() != host {
		t.Errorf("address was %s, is %s", host, plane.Host())
	}
	namespaces := schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	if _, err := plane.Dynamic(t).Resource(namespaces).Get(context.Background(), namespace, metav1.GetOptions{}); err != nil {
		t.Errorf("the namespace is lost: %v", err)
	}
}

func TestClusterControllersRun(t *testing.T) {
	plane := kubetest.New(t, kubetest.Options{Controllers: true})
	namespace := plane.Namespace(t)
	accounts := schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}
	kubetest.Eventually(t, "a default service account", func() bool {
		_, err := plane.Dynamic(t).Resource(accounts).Namespace(namespace).Get(context.Background(), "default", metav1.GetOptions{})
		return err == nil
	})
}

// TestBrokenBinariesFail: a test must not pass because nothing could run.
func TestBrokenBinariesFail(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"etcd", "kube-apiserver"} {
		script := "#!/bin/sh\necho " + name + " is broken >&2\nexit 3\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ name, dir, want string }{
		{"no path", "bin/kube", "no absolute path"},
		{"nothing there", t.TempDir(), "make kube-binaries"},
		{"ends at once", dir, "etcd is broken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(kubetest.BinEnv, c.dir)
			plane, err := kubetest.Start(context.Background(), kubetest.Options{})
			if err == nil {
				plane.Stop()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q in %v", c.want, err)
			}
		})
	}
}
