package kubetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// anonymous is the connection of nobody.
func (c *ControlPlane) anonymous() *rest.Config {
	return &rest.Config{
		Host:            c.Host(),
		TLSClientConfig: rest.TLSClientConfig{CAData: c.pki.CA()},
		QPS:             -1, // the server's own limits are what tests are about
	}
}

// UserCert is the connection of a user with a client certificate. It may do
// what RBAC grants to the name and the groups, which is nothing at first.
func (c *ControlPlane) UserCert(name string, groups ...string) (*rest.Config, error) {
	config := c.anonymous()
	var err error
	config.CertData, config.KeyData, err = c.pki.Client(name, groups...)
	return config, err
}

// User is UserCert for tests.
func (c *ControlPlane) User(t testing.TB, name string, groups ...string) *rest.Config {
	t.Helper()
	config, err := c.UserCert(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// Token is the connection of one of Options.Tokens, or of any other bearer of
// a token.
func (c *ControlPlane) Token(token string) *rest.Config {
	config := c.anonymous()
	config.BearerToken = token
	return config
}

// ServiceAccount is the connection of a service account, which is made if it
// is not there, with a token of the TokenRequest API.
func (c *ControlPlane) ServiceAccount(t testing.TB, namespace, name string) *rest.Config {
	t.Helper()
	return c.Token(c.ServiceAccountToken(t, namespace, name))
}

// ServiceAccountToken is such a token, for the API server or for audiences.
func (c *ControlPlane) ServiceAccountToken(t testing.TB, namespace, name string, audiences ...string) string {
	t.Helper()
	c.Apply(t, fmt.Sprintf("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: %s, namespace: %s}\n", name, namespace))
	request := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}}
	request.SetName(name)
	if err := unstructured.SetNestedStringSlice(request.Object, audiences, "spec", "audiences"); err != nil {
		t.Fatal(err)
	}
	accounts := c.Dynamic(t).Resource(schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"})
	answer, err := accounts.Namespace(namespace).Create(context.Background(), request, metav1.CreateOptions{}, "token")
	if err != nil {
		t.Fatalf("token of service account %s/%s: %v", namespace, name, err)
	}
	token, _, err := unstructured.NestedString(answer.Object, "status", "token")
	if err != nil || token == "" {
		t.Fatalf("token of service account %s/%s: %v in %v", namespace, name, err, answer.Object)
	}
	return token
}

// Dynamic is the administrator's client.
func (c *ControlPlane) Dynamic(t testing.TB) *dynamic.DynamicClient {
	t.Helper()
	client, err := dynamic.NewForConfig(c.Admin())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Kubeconfig writes a kubeconfig of a connection to a file of the test. The
// context is called "test"; namespace may be empty.
func (c *ControlPlane) Kubeconfig(t testing.TB, config *rest.Config, namespace string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := writeKubeconfig(path, config, namespace); err != nil {
		t.Fatal(err)
	}
	return path
}

// WriteKubeconfig writes NAME.kubeconfig in the control plane's directory.
func (c *ControlPlane) WriteKubeconfig(name string, config *rest.Config, namespace string) (string, error) {
	path := filepath.Join(c.Dir, name+".kubeconfig")
	return path, writeKubeconfig(path, config, namespace)
}

func writeKubeconfig(path string, config *rest.Config, namespace string) error {
	const name = "test"
	file := api.NewConfig()
	file.CurrentContext = name
	file.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name, Namespace: namespace}
	file.Clusters[name] = &api.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	file.AuthInfos[name] = &api.AuthInfo{
		Token:                 config.BearerToken,
		ClientCertificateData: config.CertData, ClientKeyData: config.KeyData,
	}
	text, err := clientcmd.Write(*file)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
