//go:build linux

package e2e_test

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/internal/e2e"
)

// netpol runs the program as a user does and returns its standard output. It
// fails the test if the exit code is another.
func netpol(t *testing.T, c *e2e.Cluster, exit int, args ...string) string {
	t.Helper()
	out, stderr, code := tryNetpol(t, c, args...)
	if code != exit {
		t.Fatalf("netpol %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, exit, out, stderr)
	}
	return out
}

func tryNetpol(t *testing.T, c *e2e.Cluster, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(c.Bin, "netpol"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "NETPOL_CONFIG=", "XDG_CONFIG_HOME="+t.TempDir(), "NO_COLOR=1")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// netpolJSON reads the JSON of a command, whatever its exit code.
func netpolJSON(t *testing.T, c *e2e.Cluster, into any, args ...string) {
	t.Helper()
	out, stderr, code := tryNetpol(t, c, append(args, "--output=json")...)
	if err := json.Unmarshal([]byte(out), into); err != nil {
		t.Fatalf("netpol %s: exit code %d: %v\n%s%s", strings.Join(args, " "), code, err, out, stderr)
	}
}
