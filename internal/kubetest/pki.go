package kubetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// PKI is the certificate authority of one control plane and what it has signed,
// in files as Kubernetes' programs want them.
type PKI struct {
	dir   string
	ca    *x509.Certificate
	key   *ecdsa.PrivateKey
	caPEM []byte
}

// validity outlasts every test; a clock that is a little behind is no matter.
const validity = 24 * time.Hour

// NewPKI makes a certificate authority and the API server's own certificates:
// apiserver for names and addresses, tokens.key for service accounts, and the
// aggregator's with an authority of its own.
func NewPKI(dir string, names []string, addresses ...netip.Addr) (*PKI, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	p, err := newAuthority(dir, "ca", "netpol-test")
	if err != nil {
		return nil, err
	}
	if err := p.Serve("apiserver", names, addresses...); err != nil {
		return nil, err
	}
	tokens, err := newKey()
	if err != nil {
		return nil, err
	}
	if err := writeKey(p.path("tokens.key"), tokens); err != nil {
		return nil, err
	}
	cert, key, err := p.Client("kube-apiserver", "system:masters") // to kubelets
	if err != nil {
		return nil, err
	}
	if err := p.write("kubelets", cert, key); err != nil {
		return nil, err
	}
	// Who may speak for others is not who may be a user.
	front, err := newAuthority(dir, "front", "netpol-test-front")
	if err != nil {
		return nil, err
	}
	if cert, key, err = front.Client("aggregator"); err != nil {
		return nil, err
	}
	return p, p.write("aggregator", cert, key)
}

func newAuthority(dir, file, name string) (*PKI, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	p := &PKI{dir: dir, ca: template, key: key}
	if p.caPEM, err = p.sign(template, key.Public()); err != nil {
		return nil, err
	}
	block, _ := pem.Decode(p.caPEM)
	if p.ca, err = x509.ParseCertificate(block.Bytes); err != nil {
		return nil, err
	}
	return p, os.WriteFile(p.path(file+".crt"), p.caPEM, 0o600)
}

// CA is the authority's certificate, PEM.
func (p *PKI) CA() []byte { return p.caPEM }

// CAFile is the file of the authority's certificate.
func (p *PKI) CAFile() string { return p.path("ca.crt") }

// Client signs a client certificate, PEM.
func (p *PKI) Client(user string, groups ...string) (cert, key []byte, err error) {
	return p.pair(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// Serve signs a server certificate and writes NAME.crt and NAME.key.
func (p *PKI) Serve(name string, names []string, addresses ...netip.Addr) error {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: names,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, net.IP(address.AsSlice()))
	}
	cert, key, err := p.pair(template)
	if err != nil {
		return err
	}
	return p.write(name, cert, key)
}

func (p *PKI) pair(template *x509.Certificate) (cert, keyPEM []byte, err error) {
	key, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	if cert, err = p.sign(template, key.Public()); err != nil {
		return nil, nil, err
	}
	keyPEM, err = encodeKey(key)
	return cert, keyPEM, err
}

func (p *PKI) sign(template *x509.Certificate, public crypto.PublicKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = time.Now().Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, p.ca, public, p.key)
	if err != nil {
		return nil, fmt.Errorf("sign %s: %w", template.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func (p *PKI) write(name string, cert, key []byte) error {
	if err := os.WriteFile(p.path(name+".crt"), cert, 0o600); err != nil {
		return err
	}
	return os.WriteFile(p.path(name+".key"), key, 0o600)
}

func (p *PKI) path(file string) string { return filepath.Join(p.dir, file) }

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	text, err := encodeKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
