package push

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"

	"github.com/netpol-project/netpol/pkg/enforce/relay"
	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
)

// papers are what the agent proves itself by.
type papers struct {
	ca    []byte // PEM, as it was when the certificate was got
	chain *tls.Certificate
	renew time.Time // when two thirds of its life are over
}

// maxFile bounds CA and token, in bytes.
const maxFile = 1 << 20

// obtain enrolls if there is no certificate that will do for a while.
func (p *Pusher) obtain(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	ca, err := p.opts.CA(ctx)
	if err != nil {
		return fmt.Errorf("flows server's CA: %w", err)
	}
	if p.papers.chain != nil && bytes.Equal(ca, p.papers.ca) && p.opts.Now().Before(p.papers.renew) {
		return nil
	}
	p.papers = papers{ca: ca}
	token, err := readSmall(p.opts.TokenFile, maxFile)
	if err != nil {
		return fmt.Errorf("token for the flows server: %w", err)
	}
	conn, err := p.dial(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	chain, leaf, err := enroll(ctx, relaypb.NewRelayClient(conn), strings.TrimSpace(string(token)))
	if err != nil {
		return fmt.Errorf("enroll: %w", err)
	}
	p.papers.chain = chain
	p.papers.renew = leaf.NotAfter.Add(-leaf.NotAfter.Sub(p.opts.Now()) / 3)
	return nil
}

// enroll makes a key, which never leaves the process, and has it certified.
func enroll(ctx context.Context, client relaypb.RelayClient, token string) (*tls.Certificate, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return nil, nil, err
	}
	reply, err := client.Enroll(ctx, &relaypb.EnrollRequest{Token: token, Request: request})
	if err != nil {
		return nil, nil, err
	}
	if len(reply.GetChain()) == 0 {
		return nil, nil, errors.New("the server sent no certificate")
	}
	leaf, err := x509.ParseCertificate(reply.GetChain()[0])
	if err != nil {
		return nil, nil, err
	}
	return &tls.Certificate{Certificate: reply.GetChain(), PrivateKey: key, Leaf: leaf}, leaf, nil
}

// dial prepares a connection to the server, with the agent's certificate if
// there is one.
func (p *Pusher) dial(addr string) (*grpc.ClientConn, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(p.papers.ca) {
		return nil, errors.New("the flows server's CA has no certificates")
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: serverName(p.opts.Target)}
	if p.papers.chain != nil {
		config.Certificates = []tls.Certificate{*p.papers.chain}
	}
	// No proxy of the environment: the server is in the cluster.
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithNoProxy(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(relay.MaxMessage), grpc.MaxCallSendMsgSize(relay.MaxMessage)),
		grpc.WithDisableServiceConfig())
	if err != nil {
		return nil, fmt.Errorf("flows server %s: %w", addr, err)
	}
	return conn, nil
}

// due is when the certificate has to be renewed.
func (p *Pusher) due() time.Duration { return max(p.papers.renew.Sub(p.opts.Now()), 0) }

// caChanged says whether the trusted certificates are others now.
func (p *Pusher) caChanged(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ca, err := p.opts.CA(ctx)
	return err == nil && !bytes.Equal(ca, p.papers.ca)
}
