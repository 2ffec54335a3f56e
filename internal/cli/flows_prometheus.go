package cli

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/prometheus"
)

// What begins the address of a Prometheus server.
const (
	prometheusScheme    = "prometheus://"
	prometheusTLSScheme = "prometheus+https://"
)

// tryPrometheus is what to type.
const tryPrometheus = `--flows 'prometheus://HOST:9090?range=14d' or --flows 'prometheus+https://HOST/PATH' --flows-ca FILE --flows-token-file FILE`

// IsPrometheus says that the user named a Prometheus server.
func (o FlowsFrom) IsPrometheus() bool {
	return strings.HasPrefix(o.From, prometheusScheme) || strings.HasPrefix(o.From, prometheusTLSScheme)
}

// prometheus is a source of what a Prometheus server has of the agents' metrics;
// it is asked nothing yet.
func (o FlowsFrom) prometheus() (flow.Source, error) {
	u, err := url.Parse(o.From)
	if err != nil || u.Host == "" || u.Fragment != "" {
		return nil, Usage(tryPrometheus, "--flows %s: expected prometheus://HOST:PORT", o.From)
	}
	if _, secret := u.User.Password(); secret {
		return nil, Usage("--flows prometheus+https://USER@HOST/ --flows-password-file FILE", "--flows: a password on the command line is everybody's to see")
	}
	opts, err := prometheusOptions(u.RawQuery)
	if err != nil {
		return nil, err
	}
	opts.Now = o.Now
	if opts.Now == nil {
		opts.Now = time.Now
	}
	rt, err := o.prometheusTransport(u)
	if err != nil {
		return nil, err
	}
	base := url.URL{Scheme: "http", Host: u.Host, Path: u.Path}
	if strings.HasPrefix(o.From, prometheusTLSScheme) {
		base.Scheme = "https"
	} else if u.Port() == "" {
		base.Host = net.JoinHostPort(u.Hostname(), "9090")
	}
	// The server is given the time to say itself that it took too long.
	if opts.API, err = prometheus.NewAPI(base.String(), rt, opts.Timeout+5*time.Second); err != nil {
		return nil, Usage(tryPrometheus, "--flows %s: %v", o.From, err)
	}
	return flow.FromMetrics(prometheus.New(opts)), nil
}

// prometheusOptions reads what follows the question mark.
func prometheusOptions(query string) (prometheus.Options, error) {
	opts := prometheus.Options{Timeout: prometheus.DefaultTimeout}
	values, err := url.ParseQuery(query)
	if err != nil {
		return opts, Usage(tryPrometheus, "--flows: what follows the question mark can't be read: %v", err)
	}
	for name, list := range values {
		value := list[len(list)-1]
		switch name {
		case "range":
			opts.Range, err = span(value)
		case "timeout":
			opts.Timeout, err = span(value)
		case "match":
			opts.Match, err = prometheus.ParseMatch(strings.Join(list, ","))
		default:
			err = errors.New("there is no such option: expected range, match or timeout")
		}
		if err != nil {
			return opts, Usage(tryPrometheus, "--flows: %s: %v", name, err)
		}
	}
	return opts, nil
}

// maxSpan is the longest time that may be asked for, in days.
const maxSpan = 3650

// span reads a time such as 90m, 12h or 14d.
func span(text string) (time.Duration, error) {
	d, err := ParseSpan(text)
	if err != nil || d < time.Second || d > maxSpan*24*time.Hour {
		return 0, fmt.Errorf("%q: expected a time such as 90m, 12h or 14d", text)
	}
	return d, nil
}

// prometheusTransport is how the server is spoken with.
func (o FlowsFrom) prometheusTransport(u *url.URL) (http.RoundTripper, error) {
	secure := strings.HasPrefix(o.From, prometheusTLSScheme)
	rt := http.DefaultTransport.(*http.Transport).Clone()
	switch {
	case !secure && o.CA+o.Cert+o.Key != "":
		return nil, Usage(tryPrometheus, "--flows-ca, --flows-cert and --flows-key are for TLS: prometheus+https://…")
	case o.TokenFile != "" && (u.User != nil || o.PasswordFile != ""):
		return nil, Usage(tryPrometheus, "a token and a user can't be given together")
	case (u.User != nil) != (o.PasswordFile != ""):
		return nil, Usage("--flows prometheus+https://USER@HOST/ --flows-password-file FILE", "a user and --flows-password-file belong together")
	case !secure && o.TokenFile+o.PasswordFile != "" && !isLoopback(u.Hostname()):
		return nil, Usage(tryPrometheus, "without TLS everybody on the way reads the token or password: expected prometheus+https://…")
	}
	if secure {
		config, err := o.clientTLS(tryPrometheus)
		if err != nil {
			return nil, err
		}
		rt.TLSClientConfig = config
	}
	if o.TokenFile == "" && o.PasswordFile == "" {
		return rt, nil
	}
	return authorized{rt, u.User.Username(), o}, nil
}

// clientTLS is TLS by the files of the flags.
func (o FlowsFrom) clientTLS(try string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if (o.Cert == "") != (o.Key == "") {
		return nil, Usage(try, "--flows-cert and --flows-key belong together")
	}
	var err error
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
	return config, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// authorized adds who asks. Files are read for each request: what is in them may
// be renewed while a command watches.
type authorized struct {
	http.RoundTripper
	user string
	from FlowsFrom
}

// RoundTrip implements http.RoundTripper.
func (a authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	flag, path := "--flows-token-file", a.from.TokenFile
	if path == "" {
		flag, path = "--flows-password-file", a.from.PasswordFile
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fileError(flag, path, err)
	}
	secret := strings.TrimRight(string(data), "\r\n")
	if secret == "" || strings.ContainsAny(secret, "\r\n") {
		return nil, &Error{What: fmt.Sprintf("%s: %s: expected one line", flag, path)}
	}
	r = r.Clone(r.Context())
	if a.from.TokenFile != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	} else {
		r.SetBasicAuth(a.user, secret)
	}
	return a.RoundTripper.RoundTrip(r)
}
