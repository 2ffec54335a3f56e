package review

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/pkg/enforce/relay"
)

// Bearer is the token that a connection's user shows the API server: a fixed one,
// a file's, or what a plugin of kubeconfig gives. It is empty if the user is
// known otherwise (by a client certificate), or acts as somebody else.
func Bearer(ctx context.Context, config *rest.Config) (string, error) {
	if config.Impersonate.UserName != "" {
		return "", nil
	}
	var seen string
	last := roundTripper(func(r *http.Request) (*http.Response, error) {
		seen = r.Header.Get("Authorization")
		return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody, Request: r}, nil
	})
	wrapped, err := rest.HTTPWrappersForConfig(config, last)
	if err != nil {
		return "", err
	}
	// The host is nobody's: the request goes no further than last.
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://netpol.invalid/", nil)
	if err != nil {
		return "", err
	}
	res, err := wrapped.RoundTrip(req)
	if err != nil {
		return "", err
	}
	_ = res.Body.Close()
	scheme, token, _ := strings.Cut(seen, " ")
	if !strings.EqualFold(scheme, "bearer") {
		return "", nil
	}
	return strings.TrimSpace(token), nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// tokenLife is how long a token lasts that is made for one command, or for
// --follow until it makes another.
const tokenLife = time.Hour

// ReaderToken has the API server make a token of the ServiceAccount that stands
// for users who have none, good for the flows server alone.
func (c *Client) ReaderToken(ctx context.Context) (token string, expires time.Time, err error) {
	var r struct {
		object
		Spec struct {
			Audiences         []string `json:"audiences"`
			ExpirationSeconds int64    `json:"expirationSeconds"`
		} `json:"spec"`
		Status struct {
			Token   string    `json:"token"`
			Expires time.Time `json:"expirationTimestamp"`
		} `json:"status,omitzero"`
	}
	r.APIVersion, r.Kind = "authentication.k8s.io/v1", "TokenRequest"
	r.Spec.Audiences, r.Spec.ExpirationSeconds = []string{relay.Audience}, int64(tokenLife.Seconds())
	err = c.call(ctx, http.MethodPost, c.inNamespace("serviceaccounts", relay.Readers)+"/token", &r, &r)
	return r.Status.Token, r.Status.Expires, err
}

// FlowsPod is a pod of the flows server that is ready, and the port there that
// it answers users on. A *NoServerError says that none is.
func (c *Client) FlowsPod(ctx context.Context) (name string, port int, err error) {
	query := url.Values{"labelSelector": {"app.kubernetes.io/name=" + relay.Service}}
	var list struct {
		object
		Items []*pod `json:"items"`
	}
	if err := c.call(ctx, http.MethodGet, c.inNamespace("pods", "")+"?"+query.Encode(), nil, &list); err != nil {
		return "", 0, err
	}
	for _, p := range list.Items {
		if p.ready() {
			return p.Metadata.Name, p.port("flows", 7443), nil
		}
	}
	return "", 0, &NoServerError{Namespace: c.namespace, Pods: len(list.Items)}
}

// NoServerError: no flows server is ready.
type NoServerError struct {
	Namespace string
	Pods      int // that there are, none of them ready
}

// Error says which.
func (e *NoServerError) Error() string {
	if e.Pods == 0 {
		return fmt.Sprintf("there is no flows server in namespace %s", e.Namespace)
	}
	return fmt.Sprintf("the flows server in namespace %s is not ready (pods: %d)", e.Namespace, e.Pods)
}

// ready: connections can be forwarded to the pod. Those of a pod in the node's own
// network would be to the node's ports.
func (p *pod) ready() bool {
	if p.Spec.HostNetwork {
		return false
	}
	if p.Metadata.DeletionTimestamp != "" || p.Status.Phase != "Running" {
		return false
	}
	for _, c := range p.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True"
		}
	}
	return false
}

// port is the container port of that name.
func (p *pod) port(name string, usual int) int {
	for _, c := range p.Spec.Containers {
		for _, port := range c.Ports {
			if port.Name == name {
				return port.ContainerPort
			}
		}
	}
	return usual
}
