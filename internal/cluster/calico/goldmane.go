package calico

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/cluster/tunnel"
)

// GoldmaneName is a name that Goldmane's certificate has.
const GoldmaneName = "goldmane." + System + ".svc"

// clientSecrets are those with a certificate that Goldmane lets in, the one that
// is for reading alone first.
var clientSecrets = []string{"whisker-backend-key-pair", "goldmane-key-pair"}

// bundles are the ConfigMaps with the authority that signed Goldmane's
// certificate.
var bundles = []string{"goldmane-ca-bundle", "tigera-ca-bundle"}

// bundleKey is where a ConfigMap has it.
const bundleKey = "tigera-ca-bundle.crt"

// ReachError is why a Goldmane can't be reached.
type ReachError struct {
	What string // what could not be done
	// Right is what the user may not do, as kubectl auth can-i takes it; empty
	// if that is not why.
	Right string
	Err   error
}

// Error is what could not be done, and why.
func (e *ReachError) Error() string {
	if e.Right != "" {
		return e.What + ": you may not " + e.Right
	}
	return e.What + ": " + e.Err.Error()
}

// Unwrap gives the cause.
func (e *ReachError) Unwrap() error { return e.Err }

// DialGoldmane connects to a cluster's Goldmane: by a forwarded port, with the
// client certificate that the cluster keeps. The user's rights decide on all of
// it. What can be refused is asked for at once; closing is up to the caller.
func DialGoldmane(ctx context.Context, conn *kube.Conn, raw *kube.Raw, at Service) (*grpc.ClientConn, error) {
	r := &reach{conn: conn, raw: raw, at: at}
	config, err := r.papers(ctx)
	if err != nil {
		return nil, err
	}
	first, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	kept := make(chan net.Conn, 1)
	kept <- first
	dial := func(ctx context.Context, _ string) (net.Conn, error) {
		select {
		case c := <-kept:
			return c, nil
		default:
			return r.dial(ctx)
		}
	}
	out, err := grpc.NewClient("passthrough:///goldmane", grpc.WithContextDialer(dial), grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithDisableServiceConfig())
	if err != nil {
		_ = first.Close()
		return nil, fmt.Errorf("goldmane: %w", err)
	}
	out.Connect() // so that closing it closes the forwarded port
	return out, nil
}

type reach struct {
	conn *kube.Conn
	raw  *kube.Raw
	at   Service
}

// failure makes an error of the API server a ReachError.
func failure(what, right string, err error) error {
	e := &ReachError{What: what, Err: err}
	if apierrors.IsForbidden(err) || strings.Contains(err.Error(), "forbidden") { // upgrades have no status
		e.Right = right
	}
	return e
}

// papers are the client's certificate and the authorities that it trusts.
func (r *reach) papers(ctx context.Context) (*tls.Config, error) {
	const what = "reading a client certificate for Goldmane"
	var errs []error
	for _, name := range clientSecrets {
		var secret struct{ Data map[string][]byte }
		if err := r.get(ctx, &secret, "/api/v1/namespaces", r.at.Namespace, "secrets", name); err != nil {
			errs = append(errs, failure(what, "get secrets/"+name+" -n "+r.at.Namespace, err))
			continue
		}
		pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
		if err != nil {
			return nil, &ReachError{What: what, Err: fmt.Errorf("secret %s/%s: %w", r.at.Namespace, name, err)}
		}
		roots, err := r.roots(ctx)
		if err != nil {
			return nil, err
		}
		return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, ServerName: GoldmaneName, MinVersion: tls.VersionTLS12}, nil
	}
	// A right that is missing says more than a Secret that is.
	for _, err := range errs {
		if e := (*ReachError)(nil); errors.As(err, &e) && e.Right != "" {
			return nil, err
		}
	}
	return nil, errs[len(errs)-1]
}

func (r *reach) roots(ctx context.Context) (*x509.CertPool, error) {
	const what = "reading the certificates that Goldmane is known by"
	var last error
	for _, name := range bundles {
		var bundle struct{ Data map[string]string }
		err := r.get(ctx, &bundle, "/api/v1/namespaces", r.at.Namespace, "configmaps", name)
		if err == nil {
			roots := x509.NewCertPool()
			if roots.AppendCertsFromPEM([]byte(bundle.Data[bundleKey])) {
				return roots, nil
			}
			err = fmt.Errorf("configmap %s/%s has no certificates in %s", r.at.Namespace, name, bundleKey)
		}
		if last == nil || apierrors.IsNotFound(last) {
			last = failure(what, "get configmaps/"+name+" -n "+r.at.Namespace, err)
		}
	}
	return nil, last
}

func (r *reach) get(ctx context.Context, into any, path ...string) error {
	body, err := r.raw.Get(ctx, path...)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}

// dial forwards a port to a pod that is ready.
func (r *reach) dial(ctx context.Context) (net.Conn, error) {
	pod, err := r.pod(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := tunnel.Dial(ctx, r.conn.Config, tunnel.Pod{Namespace: r.at.Namespace, Name: pod}, r.at.Port)
	if err != nil {
		return nil, failure("forwarding a port to Goldmane", "create pods/portforward -n "+r.at.Namespace, err)
	}
	return conn, nil
}

func (r *reach) pod(ctx context.Context) (string, error) {
	const what = "finding Goldmane's pod"
	var list struct {
		Items []struct {
			Metadata struct {
				Name              string
				DeletionTimestamp *string
			}
			Spec   struct{ HostNetwork bool }
			Status struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	body, err := r.raw.Select(ctx, "k8s-app=goldmane", "/api/v1/namespaces", r.at.Namespace, "pods")
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil {
		return "", failure(what, "list pods -n "+r.at.Namespace, err)
	}
	for _, p := range list.Items {
		if p.Spec.HostNetwork {
			continue // its ports are the node's
		}
		for _, c := range p.Status.Conditions {
			if c.Type == "Ready" && c.Status == "True" && p.Metadata.DeletionTimestamp == nil {
				return p.Metadata.Name, nil
			}
		}
	}
	return "", &ReachError{What: what, Err: fmt.Errorf("none of %d is ready", len(list.Items))}
}
