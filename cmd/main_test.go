package cmd

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

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
