// Package review asks an API server who somebody is, what they may do and which
// agents there are, and keeps the flows server's authority in it: what a flows
// server and its clients need of Kubernetes. It speaks JSON over the connection
// that package kube describes, without any generated client.
package review

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

const (
	// callWithin bounds one call; maxAnswer what it may answer, in bytes.
	callWithin = 10 * time.Second
	maxAnswer  = 64 << 20
)

// Client talks to an API server about one namespace.
type Client struct {
	http      *http.Client
	base      *url.URL
	namespace string
}

// New is a client for what is in a namespace.
func New(config *rest.Config, namespace string) (*Client, error) {
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	return &Client{http: client, base: base, namespace: namespace}, nil
}

// call sends a body, if it is not nil, and reads the answer into out. Errors of
// the API server are those of package apimachinery's errors.
func (c *Client) call(ctx context.Context, method, path string, body, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callWithin)
	defer cancel()
	answer, err := c.open(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	raw, err := io.ReadAll(io.LimitReader(answer, maxAnswer))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// open sends a request and returns the body of a good answer.
func (c *Client) open(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(raw)
	}
	path, query, _ := strings.Cut(path, "?")
	where := c.base.JoinPath(path) // an API server may be below a path of a proxy
	where.RawQuery = query
	req, err := http.NewRequestWithContext(ctx, method, where.String(), content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res.Body, nil
	}
	defer res.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	var status metav1.Status
	if json.Unmarshal(raw, &status) == nil && status.Kind == "Status" {
		return nil, &errors.StatusError{ErrStatus: status}
	}
	return nil, fmt.Errorf("%s %s: %s", method, path, res.Status)
}

// object is the head of everything that is sent and read.
type object struct {
	APIVersion string   `json:"apiVersion,omitempty"`
	Kind       string   `json:"kind,omitempty"`
	Metadata   metadata `json:"metadata,omitzero"`
}

type metadata struct {
	Name              string            `json:"name,omitempty"`
	Namespace         string            `json:"namespace,omitempty"`
	UID               string            `json:"uid,omitempty"`
	ResourceVersion   string            `json:"resourceVersion,omitempty"`
	Labels            map[string]string `json:"labels,omitempty"`
	DeletionTimestamp string            `json:"deletionTimestamp,omitempty"`
	OwnerReferences   []owner           `json:"ownerReferences,omitempty"`
}

type owner struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Controller bool   `json:"controller"`
}

func (c *Client) inNamespace(resource, name string) string {
	path := "/api/v1/namespaces/" + url.PathEscape(c.namespace) + "/" + resource
	if name != "" {
		path += "/" + url.PathEscape(name)
	}
	return path
}
