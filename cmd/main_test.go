package cmd

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
)

func TestRunExitCodes(t *testing.T) {
	t.Setenv("NETPOL_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	interrupted, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tc := range map[string]struct {
		ctx  context.Context
		args []string
		code int
		says string
	}{
		"done":                  {t.Context(), []string{"netpol", "version"}, 0, ""},
		"usage":                 {t.Context(), []string{"netpol", "get", "podz"}, 2, "error: no resource type"},
		"interrupted":           {interrupted, []string{"netpol", "get", "podz"}, 130, "error: no resource type"},
		"done before interrupt": {interrupted, []string{"netpol", "version"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			code := Run(tc.ctx, &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, tc.args)
			if code != tc.code || !strings.Contains(errs.String(), tc.says) || tc.says == "" && errs.Len() > 0 {
				t.Errorf("got %d and %q", code, errs.String())
			}
		})
	}
}

// Ctrl-C ends a command that waits for an API server, whatever it asks there.
func TestRunIsInterruptedWhileItLooksForCalico(t *testing.T) {
	t.Setenv("NETPOL_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	config := filepath.Join(t.TempDir(), "config")
	text := "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], clusters: [{name: c, cluster: {server: " + server.URL + "}}]}"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan int, 1)
	go func() {
		var out, errs bytes.Buffer
		done <- Run(ctx, &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, []string{"netpol", "--kubeconfig", config, "--request-timeout", "60s", "get", "policies"})
	}()
	select {
	case code := <-done:
		if code != cli.ExitInterrupted {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(20 * time.Second):
		t.Error("it goes on waiting")
	}
}

// BenchmarkStart is a whole process that shows its help, from exec to exit.
func BenchmarkStart(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		// By this name the test's program is netpol (TestMain).
		c := &exec.Cmd{Path: self, Args: []string{"netpol", "--help"}}
		if out, err := c.Output(); err != nil || !bytes.Contains(out, []byte("Usage:")) {
			b.Fatalf("%v: %s", err, out)
		}
	}
}

// BenchmarkHelp is what netpol --help costs besides starting a process.
func BenchmarkHelp(b *testing.B) {
	b.Setenv("NETPOL_CONFIG", "")
	for b.Loop() {
		var out bytes.Buffer
		if code := Run(b.Context(), &cli.Streams{Out: &out, Err: &out}, []string{"netpol", "--help"}); code != 0 {
			b.Fatal(out.String())
		}
	}
}
