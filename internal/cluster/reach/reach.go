// Package reach connects users with the flows server of their cluster: it finds
// the server's pod, forwards a port to it, trusts what the cluster publishes,
// and shows it a token of the user's.
package reach

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"k8s.io/client-go/rest"

	"github.com/netpol-project/netpol/internal/cluster/review"
	"github.com/netpol-project/netpol/internal/cluster/tunnel"
	"github.com/netpol-project/netpol/pkg/enforce/relay"
)

// Step is what of reaching a flows server failed.
type Step string

// The steps.
const (
	StepTrust   Step = "reading what the flows server is known by"
	StepPod     Step = "finding the flows server"
	StepToken   Step = "getting a token for the flows server"
	StepForward Step = "forwarding a port to the flows server"
)

// Error says which step failed.
type Error struct {
	Step Step
	Err  error
}

// Error is the step and the cause.
func (e *Error) Error() string { return string(e.Step) + ": " + e.Err.Error() }

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// Dial connects to the flows server. Everything that can be refused is asked
// for at once, so that the error is clear. Closing the connection is up to the caller.
func Dial(ctx context.Context, config *rest.Config) (*grpc.ClientConn, error) {
	client, err := review.New(config, relay.Namespace)
	if err != nil {
		return nil, err
	}
	bundle, err := client.Authority(ctx)
	if err != nil {
		return nil, &Error{StepTrust, err}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, &Error{StepTrust, errors.New("there are no certificates in it")}
	}
	tokens := &tokens{config: config, client: client}
	if _, err := tokens.token(ctx); err != nil {
		return nil, &Error{StepToken, err}
	}
	f := &forwarder{config: config, client: client}
	conn, err := f.dial(ctx) // kept for the first call
	if err != nil {
		return nil, err
	}
	f.first = conn
	out, err := grpc.NewClient("passthrough:///"+relay.Service,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return f.next(ctx) }),
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
			MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: relay.ServerName(relay.Namespace, relay.Service),
		})),
		grpc.WithPerRPCCredentials(tokens), grpc.WithDisableServiceConfig())
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("flows server: %w", err)
	}
	out.Connect() // now, not with the first call
	return out, nil
}

// forwarder makes connections, each to a pod that is ready then.
type forwarder struct {
	config *rest.Config
	client *review.Client

	mu    sync.Mutex
	first net.Conn
}

func (f *forwarder) next(ctx context.Context) (net.Conn, error) {
	f.mu.Lock()
	conn := f.first
	f.first = nil
	f.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	return f.dial(ctx)
}

func (f *forwarder) dial(ctx context.Context) (net.Conn, error) {
	name, port, err := f.client.FlowsPod(ctx)
	if err != nil {
		return nil, &Error{StepPod, err}
	}
	conn, err := tunnel.Dial(ctx, f.config, tunnel.Pod{Namespace: relay.Namespace, Name: name}, port)
	if err != nil {
		return nil, &Error{StepForward, err}
	}
	return conn, nil
}

// tokens are the user's own, or else those that the API server makes of the
// ServiceAccount that stands for users without one.
type tokens struct {
	config *rest.Config
	client *review.Client

	mu    sync.Mutex
	made  string
	until time.Time
}

// early is how long before its end a token is replaced.
const early = 5 * time.Minute

func (t *tokens) token(ctx context.Context) (string, error) {
	token, err := review.Bearer(ctx, t.config)
	if err != nil || token != "" {
		return token, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made != "" && time.Now().Before(t.until) {
		return t.made, nil
	}
	made, expires, err := t.client.ReaderToken(ctx)
	if err != nil {
		return "", err
	}
	t.made, t.until = made, expires.Add(-early)
	return made, nil
}

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (t *tokens) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := t.token(ctx)
	if err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials: a token is
// shown to nobody who has not proved who he is.
func (t *tokens) RequireTransportSecurity() bool { return true }
