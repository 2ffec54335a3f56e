// Package kube is the Kubernetes API as netpol uses it: the connection that a
// kubeconfig describes, and what is read and written over it.
package kube

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// ErrNoCluster: no kubeconfig names a cluster, and this is no pod of one.
var ErrNoCluster = errors.New("no cluster is configured")

// Where says which cluster is meant, as kubectl's flags do; what is empty is
// taken from $KUBECONFIG or ~/.kube/config.
type Where struct {
	Kubeconfig, Context string
	As                  Impersonate
}

// Impersonate is who the user acts as; the zero value is the user's own self.
type Impersonate struct {
	User   string
	Groups []string
}

// Conn is a cluster's API server and who the user is there. Nothing is sent
// before it is used.
type Conn struct {
	Config *rest.Config
	// Context is the kubeconfig's context, empty in a pod.
	Context string
	// Namespace is the context's namespace; "default" if it has none.
	Namespace string
	// Login is the name that the kubeconfig has for whose credentials these are.
	Login string
}

// Who is the user as far as this side knows: the one that is impersonated, that
// of a client certificate, or the kubeconfig's name for it. "" in a pod.
func (c *Conn) Who() string {
	if name := c.Config.Impersonate.UserName; name != "" {
		return name
	}
	data := c.Config.CertData
	if len(data) == 0 && c.Config.CertFile != "" {
		data, _ = os.ReadFile(c.Config.CertFile)
	}
	if block, _ := pem.Decode(data); block != nil {
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && cert.Subject.CommonName != "" {
			return cert.Subject.CommonName
		}
	}
	return cmp.Or(c.Config.Username, c.Login)
}

// Connect reads the kubeconfig. Without one it is the cluster that this
// process is a pod of. The error Is ErrNoCluster if there is neither.
func Connect(w Where) (*Conn, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = w.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: w.Context})
	raw, err := loader.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	name := raw.CurrentContext
	if w.Context != "" {
		name = w.Context
	}
	if name == "" {
		return inCluster(w, loader)
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	w.As.on(config)
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}
	conn := &Conn{Config: config, Context: name, Namespace: namespace}
	if c := raw.Contexts[name]; c != nil {
		conn.Login = c.AuthInfo
	}
	return conn, nil
}

// on has a connection act as somebody else.
func (i Impersonate) on(config *rest.Config) {
	if i.User != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: i.User, Groups: i.Groups}
	}
}

// inCluster connects a pod to its own cluster, in its own namespace.
func inCluster(w Where, loader clientcmd.ClientConfig) (*Conn, error) {
	config, err := rest.InClusterConfig()
	if err != nil {
		return nil, ErrNoCluster
	}
	w.As.on(config)
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, fmt.Errorf("the pod's namespace: %w", err)
	}
	return &Conn{Config: config, Namespace: namespace}, nil
}
