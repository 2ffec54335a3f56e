package flowserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Vault is where the authority is kept: a Secret, and a ConfigMap that publishes
// what is trusted.
type Vault interface {
	// Load reads the Secret; data is nil if there is none. version is for Save.
	Load(ctx context.Context) (data map[string][]byte, version string, err error)
	// Save writes the Secret, unless it is not of that version any more
	// (ErrChanged).
	Save(ctx context.Context, data map[string][]byte, version string) error
	// Publish has the ConfigMap say what is trusted.
	Publish(ctx context.Context, bundle []byte) error
}

// ErrChanged: somebody else was faster.
var ErrChanged = errors.New("the Secret has changed")

// keeper holds the authority in force and the server's own certificate.
type keeper struct {
	vault     Vault
	namespace string
	now       func() time.Time
	log       *slog.Logger

	mu      sync.RWMutex
	auth    *authority
	serving *tls.Certificate
	renewAt time.Time
}

// refresh brings everything up to date: what the Secret should hold, what is
// published, what is served with. Several servers may do so at once.
func (k *keeper) refresh(ctx context.Context) error {
	var data map[string][]byte
	for try := 0; ; try++ {
		stored, version, err := k.vault.Load(ctx)
		if err != nil {
			return fmt.Errorf("the flows server's CA can't be read: %w", err)
		}
		if data, err = renewed(stored, k.now()); err != nil {
			return fmt.Errorf("the flows server's CA is broken: %w", err)
		}
		if sameData(stored, data) {
			break
		}
		err = k.vault.Save(ctx, data, version)
		if err == nil {
			k.log.Info("the flows server's CA was renewed")
			break
		}
		if !errors.Is(err, ErrChanged) || try == 5 {
			return fmt.Errorf("the flows server's CA can't be kept: %w", err)
		}
	}
	auth, err := readAuthority(data)
	if err != nil {
		return fmt.Errorf("the flows server's CA is broken: %w", err)
	}
	if err := k.vault.Publish(ctx, auth.bundle); err != nil {
		return fmt.Errorf("the flows server's CA can't be published: %w", err)
	}
	return k.adopt(auth)
}

// adopt takes an authority, and makes a certificate to serve with if it is time.
func (k *keeper) adopt(auth *authority) error {
	now := k.now()
	k.mu.Lock()
	defer k.mu.Unlock()
	same := k.auth != nil && k.auth.cert.Equal(auth.cert)
	if same && now.Before(k.renewAt) {
		k.auth = auth
		return nil
	}
	serving, err := auth.serving(k.namespace, now)
	if err != nil {
		return err
	}
	k.auth, k.serving, k.renewAt = auth, serving, now.Add(serverLife/3)
	return nil
}

// run refreshes until ctx ends.
func (k *keeper) run(ctx context.Context) {
	every, usual := time.Minute, 10*time.Minute
	for {
		t := time.NewTimer(every)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		every = usual
		if err := k.refresh(ctx); err != nil && ctx.Err() == nil {
			k.log.Error("certificates", "error", err)
			every = time.Minute
		}
	}
}

// authority is the one in force.
func (k *keeper) authority() *authority {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.auth
}

// config is for each handshake: certificates change while the server runs.
// Agents show a certificate, users do not.
func (k *keeper) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		NextProtos: []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			k.mu.RLock()
			defer k.mu.RUnlock()
			return &tls.Config{
				MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}, Certificates: []tls.Certificate{*k.serving},
				ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: k.auth.pool,
				// A session would outlive the papers that began it.
				SessionTicketsDisabled: true,
			}, nil
		},
	}
}
