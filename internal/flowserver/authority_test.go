package flowserver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/relay"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func made(t *testing.T, data map[string][]byte, at time.Time) (map[string][]byte, *authority) {
	t.Helper()
	data, err := renewed(data, at)
	if err != nil {
		t.Fatal(err)
	}
	a, err := readAuthority(data)
	if err != nil {
		t.Fatal(err)
	}
	return data, a
}

// TestAuthorityIsReplacedLongBeforeItEnds: the next is published before it
// signs, and what the one before has signed is good until it ends.
func TestAuthorityIsReplacedLongBeforeItEnds(t *testing.T) {
	data, first := made(t, nil, now)
	same, _ := made(t, data, now.Add(3*365*24*time.Hour))
	if !sameData(data, same) {
		t.Fatal("replaced too early")
	}
	due := first.cert.NotAfter.Add(-authorityLeft).Add(time.Hour)
	data, second := made(t, data, due)
	if !second.cert.Equal(first.cert) || bytes.Count(second.bundle, []byte("BEGIN")) != 2 {
		t.Fatal("the next authority is not published beside the first")
	}
	if again, _ := made(t, data, due.Add(time.Hour)); !sameData(data, again) {
		t.Error("changed before everybody can know it")
	}
	serving, err := first.serving(relay.Namespace, due)
	if err != nil {
		t.Fatal(err)
	}
	data, third := made(t, data, due.Add(published+time.Hour))
	if third.cert.Equal(first.cert) || bytes.Count(third.bundle, []byte("BEGIN")) != 2 {
		t.Fatal("the next authority does not sign")
	}
	leaf, err := x509.ParseCertificate(serving.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: third.pool, CurrentTime: due.Add(published + time.Hour), DNSName: relay.ServerName(relay.Namespace, relay.Service)}); err != nil {
		t.Errorf("what the first has signed is not trusted any more: %v", err)
	}
	if _, last := made(t, data, first.cert.NotAfter.Add(time.Hour)); bytes.Count(last.bundle, []byte("BEGIN")) != 1 {
		t.Error("an authority that has ended is still published")
	}
}

func TestBrokenAuthorityIsNotReplaced(t *testing.T) {
	data, _ := made(t, nil, now)
	data[keyKey] = []byte("no key")
	if _, err := renewed(data, now); err == nil {
		t.Error("a Secret that can't be read is overwritten")
	}
	other, _ := made(t, nil, now)
	data[keyKey] = other[keyKey]
	if _, err := renewed(data, now); err == nil {
		t.Error("a key of another certificate is taken")
	}
}

func TestCertifyTakesOnlyAKey(t *testing.T) {
	_, a := made(t, nil, now)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	request := func(k *ecdsa.PrivateKey) []byte {
		// What it asks for is not granted: another node, and to be a server.
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: []string{relay.ServerName(relay.Namespace, relay.Service)}}, k)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	chain, err := a.certify("n1", request(key), now)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		t.Fatal(err)
	}
	if nodeOf(leaf) != "n1" || len(leaf.DNSNames) != 0 || leaf.NotAfter.Sub(now) > agentLife || leaf.IsCA {
		t.Errorf("certified %v %v until %v", leaf.Subject, leaf.DNSNames, leaf.NotAfter)
	}
	serving, err := a.serving(relay.Namespace, now)
	if err != nil {
		t.Fatal(err)
	}
	if server, _ := x509.ParseCertificate(serving.Certificate[0]); nodeOf(server) != "" {
		t.Error("the server's certificate is an agent's")
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spoiled := request(key)
	spoiled[len(spoiled)-1] ^= 1
	for name, r := range map[string][]byte{"another curve": request(other), "not signed": spoiled, "nothing": nil} {
		if _, err := a.certify("n1", r, now); err == nil {
			t.Errorf("%s is certified", name)
		}
	}
}

// memoryVault is a Secret that others may change.
type memoryVault struct {
	data    map[string][]byte
	version int
	race    func() // before the next Save
	bundle  []byte
}

func (v *memoryVault) Load(context.Context) (map[string][]byte, string, error) {
	return v.data, string(rune('0' + v.version)), nil
}

func (v *memoryVault) Save(_ context.Context, data map[string][]byte, version string) error {
	if race := v.race; race != nil {
		v.race = nil
		race()
	}
	if version != string(rune('0'+v.version)) {
		return ErrChanged
	}
	v.data, v.version = data, v.version+1
	return nil
}

func (v *memoryVault) Publish(_ context.Context, bundle []byte) error { v.bundle = bundle; return nil }

// TestServersAgreeOnTheAuthority: who was slower takes the other's, and the
// server's certificate is renewed in time.
func TestServersAgreeOnTheAuthority(t *testing.T) {
	at := now
	v := &memoryVault{}
	theirs, their := made(t, nil, now)
	v.race = func() { v.data, v.version = theirs, v.version+1 }
	k := &keeper{vault: v, namespace: relay.Namespace, now: func() time.Time { return at }, log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if err := k.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !k.authority().cert.Equal(their.cert) || !bytes.Equal(v.bundle, their.bundle) {
		t.Error("two authorities")
	}
	first := k.serving
	at = at.Add(time.Hour)
	if err := k.refresh(t.Context()); err != nil || k.serving != first {
		t.Error("another certificate after an hour", err)
	}
	at = at.Add(serverLife / 2)
	if err := k.refresh(t.Context()); err != nil || k.serving == first {
		t.Error("the certificate is not renewed", err)
	}
	if c, err := k.config().GetConfigForClient(&tls.ClientHelloInfo{}); err != nil || c.MinVersion != tls.VersionTLS13 || c.ClientAuth != tls.VerifyClientCertIfGiven {
		t.Errorf("%+v, %v", c, err)
	}
}
