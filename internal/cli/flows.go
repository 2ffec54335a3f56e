package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/netpol-project/netpol/internal/cluster/calico"
	"github.com/netpol-project/netpol/pkg/flow"
)

// goldmaneScheme begins the address of a Goldmane.
const goldmaneScheme = "goldmane://"

// FlowsFrom says where flows come from, as users type it.
type FlowsFrom struct {
	// From is a file (a recording, Calico's flow logs, or Hubble's), "-" for standard
	// input, goldmane://HOST:PORT, or prometheus://HOST:PORT and
	// prometheus+https://HOST/PATH; empty: where they come from anyway.
	From string
	// CA, Cert and Key are files for TLS with Goldmane or Prometheus.
	CA, Cert, Key string
	// TokenFile has a bearer token for Prometheus, PasswordFile the password of the
	// user that From names.
	TokenFile, PasswordFile string
	// Now is the present; nil is the clock.
	Now func() time.Time
	// Note is told what is wrong with a file that is read all the same.
	Note func(string)
}

// Given says that the user named a source.
func (o FlowsFrom) Given() bool { return o.From != "" }

// Once says that flows can be read only once: they come from standard input, or from
// a pipe that has a name, as --flows <(COMMAND) gives it.
func (o FlowsFrom) Once() bool {
	if o.From == "-" {
		return true
	}
	info, err := os.Stat(o.From)
	return err == nil && !info.Mode().IsRegular()
}

// Open opens the source. in is standard input.
func (o FlowsFrom) Open(in io.Reader) (flow.Source, error) {
	address, isGoldmane := strings.CutPrefix(o.From, goldmaneScheme)
	if err := o.Misplaced(); err != nil {
		return nil, err
	}
	switch {
	case isGoldmane:
		return o.goldmane(address)
	case o.IsPrometheus():
		return o.prometheus()
	case o.From == "-":
		return o.stdin(in)
	}
	if _, err := os.Stat(o.From); err != nil {
		return nil, fileError("--flows", o.From, err)
	}
	return o.file()
}

// Misplaced is an error if there is no such source as the one named, or there are
// flags for another one.
func (o FlowsFrom) Misplaced() error {
	goldmane := strings.HasPrefix(o.From, goldmaneScheme)
	switch {
	case strings.Contains(o.From, "://") && !goldmane && !o.IsPrometheus():
		return Usage("--flows FILE, --flows -, --flows goldmane://HOST:PORT or --flows prometheus://HOST:PORT", "--flows %s: there is no such source of flows", o.From)
	case o.TokenFile+o.PasswordFile != "" && !o.IsPrometheus():
		return Usage("--flows prometheus+https://HOST/", "--flows-token-file and --flows-password-file are for --flows prometheus+https://… only")
	case o.CA+o.Cert+o.Key != "" && !goldmane && !o.IsPrometheus():
		return Usage("--flows goldmane://HOST:PORT", "--flows-ca, --flows-cert and --flows-key are for --flows goldmane://… and prometheus+https://… only")
	}
	return nil
}

// goldmane opens a connection that lasts as long as the process.
func (o FlowsFrom) goldmane(address string) (flow.Source, error) {
	const try = "--flows goldmane://HOST:7443 --flows-ca FILE --flows-cert FILE --flows-key FILE"
	u, err := url.Parse(goldmaneScheme + address)
	if err != nil || u.Host == "" || u.Path != "" || u.User != nil || u.RawQuery != "" {
		return nil, Usage(try, "--flows %s%s: expected goldmane://HOST:PORT", goldmaneScheme, address)
	}
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = "7443"
	}
	config, err := o.clientTLS(try)
	if err != nil {
		return nil, err
	}
	config.ServerName = host
	if isLoopback(host) {
		config.ServerName = calico.GoldmaneName // a forwarded port, most likely
	}
	conn, err := flow.DialTLS(net.JoinHostPort(host, port), config)
	if err != nil {
		return nil, err
	}
	return flow.FromCalico(flow.NewClient(conn)), nil
}

func readRoots(path string) (*x509.CertPool, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fileError("--flows-ca", path, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data) {
		return nil, &Error{What: fmt.Sprintf("--flows-ca %s has no certificate in PEM", path), Try: "--flows-ca FILE with the authority that signed the server's certificate"}
	}
	return roots, nil
}

// fileError is the error of a file that a flag names, without saying its name
// twice.
func fileError(flag, path string, err error) error {
	reason := err.Error()
	var p *fs.PathError
	if errors.As(err, &p) {
		path, reason = p.Path, p.Err.Error()
	}
	return &Error{What: fmt.Sprintf("%s: %s: %s", flag, path, reason), Err: err}
}

// Error is an error of the source as users see it.
func (o FlowsFrom) Error(err error) error {
	var typed *Error
	if Code(err) == ExitInterrupted || errors.As(err, &typed) {
		return err
	}
	switch {
	case !o.Given(): // the cluster's Goldmane
		return &Error{What: "Goldmane's flows can't be read", Where: []string{plainCause(err)}, Try: "kubectl -n calico-system get pods -l k8s-app=goldmane", Err: err}
	case o.IsPrometheus():
		return o.prometheusError(err)
	case !strings.HasPrefix(o.From, goldmaneScheme):
		return &Error{What: "the flows can't be read", Where: []string{err.Error()}, Err: err}
	}
	return &Error{
		What: "Goldmane's flows can't be read", Where: []string{o.From + ": " + plainCause(err)},
		Try: "kubectl -n calico-system port-forward svc/goldmane 7443, then --flows goldmane://127.0.0.1:7443 with --flows-ca, --flows-cert and --flows-key", Err: err,
	}
}

// plainCause is why a connection failed, without gRPC's words around it.
func plainCause(err error) string {
	text := plain(err)
	if _, cause, ok := strings.Cut(text, "desc = "); ok {
		text = cause
	}
	return strings.Trim(strings.TrimPrefix(text, "connection error: desc = "), `"`)
}
