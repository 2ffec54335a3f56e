package prometheus

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
)

// maxAnswer bounds one answer, in bytes. The counters of one agent over a week,
// 2 000 of them, are some 10 MB.
const maxAnswer = 256 << 20

// NewAPI speaks with the server at a URL, by way of rt; an answer has to be there
// within the time given. Redirects are not followed: what authenticates is meant
// for this server.
func NewAPI(url string, rt http.RoundTripper, within time.Duration) (v1.API, error) {
	client, err := api.NewClient(api.Config{Address: url, Client: &http.Client{
		Transport: bounded{rt}, Timeout: within,
		CheckRedirect: func(to *http.Request, _ []*http.Request) error {
			return fmt.Errorf("it redirects to %s://%s%s", to.URL.Scheme, to.URL.Host, to.URL.Path)
		},
	}})
	if err != nil {
		return nil, err
	}
	return v1.NewAPI(client), nil
}

// bounded bounds the answers.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = &body{res.Body, maxAnswer}
	}
	return res, err
}

type body struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("the answer is longer than %d MB", maxAnswer>>20)
	}
	return n, err
}
