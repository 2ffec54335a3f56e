package review

import (
	"bytes"
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/errors"

	"github.com/netpol-project/netpol/internal/flowserver"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
)

type secret struct {
	object
	Type string            `json:"type,omitempty"`
	Data map[string][]byte `json:"data,omitempty"`
}

type configMap struct {
	object
	Data map[string]string `json:"data,omitempty"`
}

func (c *Client) head(kind, version string) object {
	return object{APIVersion: "v1", Kind: kind, Metadata: metadata{
		Name: relay.Authority, Namespace: c.namespace, ResourceVersion: version,
		Labels: map[string]string{"app.kubernetes.io/part-of": "netpol", "app.kubernetes.io/component": "flows"},
	}}
}

// Load implements flowserver.Vault.
func (c *Client) Load(ctx context.Context) (map[string][]byte, string, error) {
	var s secret
	err := c.call(ctx, "GET", c.inNamespace("secrets", relay.Authority), nil, &s)
	if errors.IsNotFound(err) {
		return nil, "", nil
	}
	return s.Data, s.Metadata.ResourceVersion, err
}

// Save implements flowserver.Vault.
func (c *Client) Save(ctx context.Context, data map[string][]byte, version string) error {
	s := &secret{object: c.head("Secret", version), Type: "Opaque", Data: data}
	method, path := "PUT", c.inNamespace("secrets", relay.Authority)
	if version == "" {
		method, path = "POST", c.inNamespace("secrets", "")
	}
	err := c.call(ctx, method, path, s, s)
	if errors.IsConflict(err) || errors.IsAlreadyExists(err) || errors.IsNotFound(err) && method == "PUT" {
		return fmt.Errorf("%w: %w", flowserver.ErrChanged, err)
	}
	return err
}

// Publish implements flowserver.Vault. Other keys of the ConfigMap stay.
func (c *Client) Publish(ctx context.Context, bundle []byte) error {
	for try := 0; ; try++ {
		err := c.publish(ctx, bundle)
		if err == nil || try == 3 || !errors.IsConflict(err) && !errors.IsAlreadyExists(err) {
			return err
		}
	}
}

func (c *Client) publish(ctx context.Context, bundle []byte) error {
	var m configMap
	err := c.call(ctx, "GET", c.inNamespace("configmaps", relay.Authority), nil, &m)
	switch {
	case errors.IsNotFound(err):
		m = configMap{object: c.head("ConfigMap", ""), Data: map[string]string{relay.AuthorityKey: string(bundle)}}
		return c.call(ctx, "POST", c.inNamespace("configmaps", ""), &m, &m)
	case err != nil:
		return err
	case m.Data[relay.AuthorityKey] == string(bundle):
		return nil
	}
	next := configMap{object: c.head("ConfigMap", m.Metadata.ResourceVersion), Data: map[string]string{}}
	for k, v := range m.Data {
		next.Data[k] = v
	}
	next.Data[relay.AuthorityKey] = string(bundle)
	return c.call(ctx, "PUT", c.inNamespace("configmaps", relay.Authority), &next, &next)
}

// Authority is what is published: the certificates (PEM) that clients of the
// flows server trust. An error IsNotFound where netpol is not installed, or
// its flows server has not started yet.
func (c *Client) Authority(ctx context.Context) ([]byte, error) {
	var m configMap
	if err := c.call(ctx, "GET", c.inNamespace("configmaps", relay.Authority), nil, &m); err != nil {
		return nil, err
	}
	bundle := []byte(m.Data[relay.AuthorityKey])
	if len(bytes.TrimSpace(bundle)) == 0 {
		return nil, fmt.Errorf("ConfigMap %s/%s has no %s", c.namespace, relay.Authority, relay.AuthorityKey)
	}
	return bundle, nil
}
