package cmd

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/netnstest"
	"github.com/netpol-project/netpol/pkg/enforce/nft"
	"github.com/netpol-project/netpol/pkg/enforce/ruleset"
)

// netpol runs a command and gives its exit code, output and errors.
func netpol(ctx context.Context, args ...string) (int, string, string) {
	var out, errs bytes.Buffer
	code := Run(ctx, &cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, append([]string{"netpol"}, args...))
	return code, out.String(), errs.String()
}

func TestAgentCleanup(t *testing.T) {
	t.Setenv("NETPOL_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	netnstest.Run(t, func(t *testing.T) {
		// An agent whose rules stay when it ends.
		k, err := nft.Open(nft.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Resync(t.Context(), &ruleset.Ruleset{}); err != nil {
			t.Fatal(err)
		}
		if k.Owned() {
			if code, _, errs := netpol(t.Context(), "agent", "--cleanup"); code != 2 || !strings.Contains(errs, "another running process") {
				t.Errorf("beside a living agent: %d %s", code, errs)
			}
		}
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
		if code, out, errs := netpol(t.Context(), "agent", "--cleanup"); code != 0 || out != "removed table inet netpol\n" {
			t.Errorf("%d %s%s", code, out, errs)
		}
		// Once more, as a pod that stays until it is ended.
		start := time.Now() // before its time begins
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, out, errs := netpol(ctx, "agent", "--cleanup", "--stay")
		if !strings.Contains(out, "no rules") || errs != "" || time.Since(start) < 50*time.Millisecond {
			t.Errorf("%s%s after %v", out, errs, time.Since(start))
		}
	})
}
