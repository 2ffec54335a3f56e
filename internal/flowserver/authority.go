package flowserver

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/relay"
)

// The life of certificates. An authority is replaced when a year of its life is
// left: the next one is published first, and signs once everybody has had time
// to read it.
const (
	authorityLife = 5 * 365 * 24 * time.Hour
	authorityLeft = 365 * 24 * time.Hour
	published     = 24 * time.Hour
	serverLife    = 7 * 24 * time.Hour
	agentLife     = 24 * time.Hour
	// backdated is for clocks that differ.
	backdated = time.Hour
)

// The keys of the Secret. tls.* signs; next.* will; past.crt is still trusted.
const (
	keyCert, keyKey   = "tls.crt", "tls.key"
	nextCert, nextKey = "next.crt", "next.key"
	pastCert          = "past.crt"
)

// authority is what the Secret holds.
type authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	pool   *x509.CertPool
	bundle []byte // PEM of all that is trusted
}

// renewed is what the Secret should hold now: the same, if nothing is due. It
// changes nothing in data.
func renewed(data map[string][]byte, now time.Time) (map[string][]byte, error) {
	out := maps.Clone(data)
	if out == nil {
		out = map[string][]byte{}
	}
	if len(out[keyCert]) == 0 && len(out[keyKey]) == 0 {
		return out, makeAuthority(out, keyCert, keyKey, now)
	}
	cert, _, err := readPair(out[keyCert], out[keyKey])
	if err != nil {
		return nil, err
	}
	if past, err := readCert(out[pastCert]); err == nil && now.After(past.NotAfter) {
		delete(out, pastCert)
	}
	if cert.NotAfter.Sub(now) > authorityLeft {
		return out, nil
	}
	next, _, err := readPair(out[nextCert], out[nextKey])
	if err != nil {
		return out, makeAuthority(out, nextCert, nextKey, now)
	}
	if now.Sub(next.NotBefore.Add(backdated)) >= published || now.After(cert.NotAfter) {
		out[pastCert], out[keyCert], out[keyKey] = out[keyCert], out[nextCert], out[nextKey]
		delete(out, nextCert)
		delete(out, nextKey)
	}
	return out, nil
}

func makeAuthority(data map[string][]byte, certName, keyName string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "netpol flows " + now.UTC().Format("2006-01-02")},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := sign(template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	raw, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	data[certName] = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	data[keyName] = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: raw})
	return nil
}

func sign(template, parent *x509.Certificate, public any, by *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	return x509.CreateCertificate(rand.Reader, template, parent, public, by)
}

// readAuthority reads the Secret.
func readAuthority(data map[string][]byte) (*authority, error) {
	cert, key, err := readPair(data[keyCert], data[keyKey])
	if err != nil {
		return nil, err
	}
	a := &authority{cert: cert, key: key, pool: x509.NewCertPool()}
	for _, name := range []string{keyCert, nextCert, pastCert} {
		if c, err := readCert(data[name]); err == nil {
			a.pool.AddCert(c)
			a.bundle = append(a.bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
		}
	}
	return a, nil
}

func readPair(certPEM, keyPEM []byte) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	cert, err := readCert(certPEM)
	if err != nil {
		return nil, nil, err
	}
	if !cert.IsCA {
		return nil, nil, errors.New("the certificate is no authority's")
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil {
		return nil, nil, errors.New("no key")
	}
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, nil, errors.New("the key is not the certificate's")
	}
	return cert, key, nil
}

func readCert(data []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// serving makes a certificate for the server's own name.
func (a *authority) serving(namespace string, now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	name := relay.ServerName(namespace, relay.Service)
	der, err := sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-backdated), NotAfter: earlier(now.Add(serverLife), a.cert.NotAfter),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}, nil
}

// certify makes an agent's certificate of its request, of which only the key
// counts.
func (a *authority) certify(node string, request []byte, now time.Time) ([][]byte, error) {
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, fmt.Errorf("the certificate request can't be read: %w", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("the certificate request is not signed: %w", err)
	}
	public, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return nil, errors.New("the certificate request's key is not of P-256")
	}
	der, err := sign(&x509.Certificate{
		Subject:   pkix.Name{CommonName: node, Organization: []string{relay.Organization}},
		NotBefore: now.Add(-backdated), NotAfter: earlier(now.Add(agentLife), a.cert.NotAfter),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, a.cert, public, a.key)
	if err != nil {
		return nil, err
	}
	return [][]byte{der, a.cert.Raw}, nil
}

// nodeOf is whose a verified client certificate is; empty if it is no agent's.
func nodeOf(cert *x509.Certificate) string {
	if !slices.Contains(cert.Subject.Organization, relay.Organization) || !slices.Contains(cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return ""
	}
	return cert.Subject.CommonName
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func sameData(a, b map[string][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }
