package cli

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/flow"
)

// readPrometheus is what a user sees of an error, empty if there is none.
func readPrometheus(t *testing.T, o FlowsFrom) string {
	t.Helper()
	o.Now = func() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }
	source, err := o.Open(strings.NewReader(""))
	if err == nil {
		_, _, err = source.List(t.Context(), flow.Filter{})
		if err != nil {
			err = o.Error(err)
		}
	}
	var out bytes.Buffer
	Report(&out, err)
	return out.String()
}

// What a server answers that is no answer is said with what to do about it.
func TestPrometheusErrors(t *testing.T) {
	say := func(code int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, tc := range map[string]struct {
		serve http.HandlerFunc
		want  []string
	}{
		"401": {say(401, "Unauthorized"), []string{"client error: 401", "--flows-token-file"}},
		"403": {say(403, ""), []string{"client error: 403", "--flows-token-file"}},
		"404": {say(404, "not here"), []string{"client error: 404", "up to /api/v1"}},
		"500": {say(500, ""), []string{"server error: 500"}},
		"422, too much": {say(422, `{"status":"error","errorType":"execution","error":"query processing would load too many samples into memory"}`),
			[]string{"too many samples", "?range=3d"}},
		"400": {say(400, `{"status":"error","errorType":"bad_data","error":"parse error"}`), []string{"bad_data: parse error"}},
		"time-out of the server": {say(503, `{"status":"error","errorType":"timeout","error":"query timed out in expression evaluation"}`),
			[]string{"server error: 503", "query timed out", "?range=3d"}},
		"not Prometheus":        {say(200, "<html>Grafana</html>"), []string{"bad_response", "up to /api/v1"}},
		"another JSON":          {say(200, `{"hits":[]}`), []string{"with nothing: expected a matrix"}},
		"another type":          {say(200, `{"status":"success","data":{"resultType":"vector","result":[]}}`), []string{"a vector: expected a matrix"}},
		"a part":                {say(200, `{"status":"success","warnings":["store 3 is away"],"data":{"resultType":"matrix","result":[]}}`), []string{"may lack something: store 3 is away"}},
		"cut off in the middle": {say(200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"__name__":"netpol_ready"},"values":[[17`), []string{"bad_response"}},
		"cut off by the line": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, `{"status":"success"`)
		}, []string{"unexpected EOF"}},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://other.example/api", http.StatusFound)
		},
			[]string{"it redirects to http://other.example/api"}},
		"nothing": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/series") {
				say(200, `{"status":"success","data":[]}`)(w, r)
				return
			}
			say(200, `{"status":"success","data":{"resultType":"matrix","result":[]}}`)(w, r)
		}, []string{"no agent's metrics from 2026-02-15T12:00:00Z to 2026-03-01T12:00:00Z", "netpol agent --http"}},
		"no number": {say(200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"many"]]}]}}`), []string{"up to /api/v1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(tc.serve)
			defer s.Close()
			got := readPrometheus(t, FlowsFrom{From: strings.Replace(s.URL, "http", "prometheus", 1) + "/base"})
			for _, want := range append(tc.want, "Prometheus' flows can't be read", "/base") {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing in\n%s", want, got)
				}
			}
		})
	}
}

// A server that says nothing is waited for no longer than asked.
func TestPrometheusTimeout(t *testing.T) {
	end := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
	defer s.Close()
	defer close(end)
	o := FlowsFrom{From: strings.Replace(s.URL, "http", "prometheus", 1) + "?timeout=1s"}
	if got := readPrometheus(t, o); !strings.Contains(got, "no answer in time") {
		t.Error(got)
	}
}

// What is typed wrong is refused before anybody is asked.
func TestPrometheusUsage(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		from FlowsFrom
		want string
	}{
		"no host":                {FlowsFrom{From: "prometheus://"}, "expected prometheus://HOST:PORT"},
		"a password":             {FlowsFrom{From: "prometheus://me:secret@h"}, "a password on the command line is everybody's to see"},
		"an option":              {FlowsFrom{From: "prometheus://h?since=3d"}, "since: there is no such option: expected range, match or timeout"},
		"a range":                {FlowsFrom{From: "prometheus://h?range=long"}, `range: "long": expected a time such as 90m, 12h or 14d`},
		"a range of nothing":     {FlowsFrom{From: "prometheus://h?range=0d"}, "expected a time"},
		"a match":                {FlowsFrom{From: "prometheus://h?match=prod"}, `match: "prod" is no condition on a label`},
		"a match that ends it":   {FlowsFrom{From: `prometheus://h?match=a="b"}+or+up{`}, "is no condition on a label"},
		"TLS without TLS":        {FlowsFrom{From: "prometheus://h", CA: "ca"}, "are for TLS"},
		"a token in the clear":   {FlowsFrom{From: "prometheus://h", TokenFile: token}, "without TLS everybody on the way reads the token"},
		"a token and a user":     {FlowsFrom{From: "prometheus+https://me@h", TokenFile: token}, "can't be given together"},
		"a user alone":           {FlowsFrom{From: "prometheus+https://me@h"}, "belong together"},
		"a token for a file":     {FlowsFrom{From: "flows.jsonl", TokenFile: token}, "are for --flows prometheus+https://… only"},
		"a token for Goldmane":   {FlowsFrom{From: "goldmane://h", TokenFile: token}, "are for --flows prometheus+https://… only"},
		"a certificate alone":    {FlowsFrom{From: "prometheus+https://h", Cert: "c"}, "belong together"},
		"an authority not there": {FlowsFrom{From: "prometheus+https://h", CA: "nosuch"}, "--flows-ca: nosuch"},
	} {
		t.Run(name, func(t *testing.T) {
			got := readPrometheus(t, tc.from)
			if !strings.Contains(got, tc.want) || strings.Contains(got, "secret") {
				t.Errorf("%q is missing in\n%s", tc.want, got)
			}
		})
	}
}

// Who asks is told by TLS alone, with what the files say at the time.
func TestPrometheusAuthentication(t *testing.T) {
	var got string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		if r.ParseForm() == nil && r.Form.Get("timeout") != "2m0s" {
			t.Errorf("timeout %q", r.Form.Get("timeout"))
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
	defer s.Close()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	address := strings.TrimPrefix(s.URL, "https://")
	if text := readPrometheus(t, FlowsFrom{From: "prometheus+https://" + address}); !strings.Contains(text, "certificate signed by unknown authority") {
		t.Error(text)
	}
	readPrometheus(t, FlowsFrom{From: "prometheus+https://" + address, CA: ca, TokenFile: file("token", "t0ken\n")})
	if got != "Bearer t0ken" {
		t.Errorf("a token: %q", got)
	}
	readPrometheus(t, FlowsFrom{From: "prometheus+https://me@" + address, CA: ca, PasswordFile: file("password", "pass")})
	if got != "Basic bWU6cGFzcw==" {
		t.Errorf("a password: %q", got)
	}
	if text := readPrometheus(t, FlowsFrom{From: "prometheus+https://" + address, CA: ca, TokenFile: file("two", "a\nb")}); !strings.Contains(text, "expected one line") {
		t.Error(text)
	}
}

// A command that was interrupted says nothing.
func TestPrometheusInterrupted(t *testing.T) {
	o := FlowsFrom{From: "prometheus://127.0.0.1:1"}
	source, err := o.Open(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := source.List(ctx, flow.Filter{}); Code(o.Error(err)) != ExitInterrupted || errors.Is(err, ErrNo) {
		t.Errorf("%v", err)
	}
}
