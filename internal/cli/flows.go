package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strings"

	"github.com/netpol-project/netpol/internal/cluster/calico"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/calicolog"
)

// goldmaneScheme begins the address of a Goldmane.
const goldmaneScheme = "goldmane://"

// FlowsFrom says where flows come from, as users type it.
type FlowsFrom struct {
	// From is a file of Calico's flow logs, "-" for standard input, or
	// goldmane://HOST:PORT; empty: where they come from anyway.
	From string
	// CA, Cert and Key are files for Goldmane's TLS.
	CA, Cert, Key string
}

// Given says that the user named a source.
func (o FlowsFrom) Given() bool { return o.From != "" }

// Open opens the source. in is standard input.
func (o FlowsFrom) Open(in io.Reader) (flow.Source, error) {
	address, isGoldmane := strings.CutPrefix(o.From, goldmaneScheme)
	switch {
	case isGoldmane:
		return o.goldmane(address)
	case o.CA+o.Cert+o.Key != "":
		return nil, Usage("--flows goldmane://HOST:PORT", "--flows-ca, --flows-cert and --flows-key are for --flows goldmane://… only")
	case strings.Contains(o.From, "://"):
		return nil, Usage("--flows FILE, --flows - or --flows goldmane://HOST:PORT", "--flows %s: there is no such source of flows", o.From)
	case o.From == "-":
		return flow.FromCalico(calicolog.NewSource("standard input", func() (io.ReadCloser, error) { return io.NopCloser(in), nil })), nil
	}
	if _, err := os.Stat(o.From); err != nil {
		return nil, fileError("--flows", o.From, err)
	}
	return flow.FromCalico(calicolog.NewSource(o.From, func() (io.ReadCloser, error) {
		f, err := os.Open(o.From)
		if err != nil {
			return nil, fileError("--flows", o.From, err)
		}
		return f, nil
	})), nil
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
	config := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		config.ServerName = calico.GoldmaneName // a forwarded port, most likely
	}
	if (o.Cert == "") != (o.Key == "") {
		return nil, Usage(try, "--flows-cert and --flows-key belong together")
	}
	if o.CA != "" {
		if config.RootCAs, err = readRoots(o.CA); err != nil {
			return nil, err
		}
	}
	if o.Cert != "" {
		pair, err := tls.LoadX509KeyPair(o.Cert, o.Key)
		if err != nil {
			return nil, fileError("--flows-cert and --flows-key", o.Cert, err)
		}
		config.Certificates = []tls.Certificate{pair}
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
		return nil, &Error{What: fmt.Sprintf("--flows-ca %s has no certificate in PEM", path)}
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
	case !strings.HasPrefix(o.From, goldmaneScheme):
		return &Error{What: "the flow logs can't be read", Where: []string{err.Error()}, Err: err}
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
