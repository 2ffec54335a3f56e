package lab_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/netpol-project/netpol/internal/lab"
)

// TestDemo runs the whole workshop, on real packets: every step of it checks
// its own outcome.
func TestDemo(t *testing.T) {
	u := newUser(t)
	stdout, stderr, code := u.try(t.Context(), "lab", "demo")
	if strings.Contains(stderr, "does not allow the namespaces") {
		u.forbidden(stderr)
	}
	if code != 0 {
		end := stdout[max(0, strings.LastIndex(stdout, "$ netpol")):] // where it ended comes first
		t.Fatalf("exit code %d\n%s%s\nall of it:\n%s", code, end, stderr, stdout)
	}
	u.nothingLeft()
}

// nothingLeft checks that no lab and no file of one is left.
func (u *user) nothingLeft() {
	u.t.Helper()
	await(u.t, "everything to be gone", func() bool {
		labs, err := os.ReadDir(u.run)
		files, globErr := filepath.Glob(filepath.Join(u.run, "netpol-demo-*"))
		return err == nil && globErr == nil && len(labs) == 0 && len(files) == 0
	})
}

// TestDemoStopped stops the demo in its middle.
func TestDemoStopped(t *testing.T) {
	for name, tc := range map[string]struct {
		signal os.Signal
		code   int // -1: killed by the signal
	}{
		"CtrlC":  {os.Interrupt, 130},
		"Killed": {syscall.SIGKILL, -1},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUser(t)
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			c := exec.CommandContext(t.Context(), exe, "lab", "demo")
			c.Env = u.environment()
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			c.Stderr = &stderr
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			pid, ended := u.awaitDemo(out)
			if ended != "" {
				err := c.Wait()
				if strings.Contains(stderr.String(), "does not allow the namespaces") {
					u.forbidden(stderr.String())
				}
				t.Fatalf("the demo did not come to its second step: %v\n%s%s", err, ended, &stderr)
			}
			if err := c.Process.Signal(tc.signal); err != nil {
				t.Fatal(err)
			}
			var exit *exec.ExitError
			if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != tc.code {
				t.Errorf("it ended with %v, want exit code %d", err, tc.code)
			}
			gone(t, pid)
			u.nothingLeft()
		})
	}
}

// awaitDemo reads until the demo's second step and returns the process of its
// lab; ended is what the demo said if it came to an end before.
func (u *user) awaitDemo(out io.Reader) (pid int, ended string) {
	u.t.Helper()
	var said strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		said.WriteString(lines.Text() + "\n")
		if !strings.HasPrefix(lines.Text(), "2/9") {
			continue
		}
		go func() { _, _ = io.Copy(io.Discard, out) }()
		var list struct{ Items []lab.Listed }
		if err := json.Unmarshal([]byte(u.netpol("lab", "list", "-o", "json")), &list); err != nil || len(list.Items) != 1 {
			u.t.Fatalf("labs %+v, %v", list, err)
		}
		return list.Items[0].PID, ""
	}
	return 0, said.String()
}

const denyVote = `apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata:
  name: default-deny
spec:
  namespaceSelector: kubernetes.io/metadata.name == 'vote'
  types: [Ingress, Egress]
`

// TestProbeTellsBlockedFromClosed: what a policy denies is blocked, with the
// policy's name, soon, and what nobody listens on is closed.
func TestProbeTellsBlockedFromClosed(t *testing.T) {
	u := newUser(t)
	u.netpol(upArgs()...)
	manifest := filepath.Join(t.TempDir(), "deny.yaml")
	if err := os.WriteFile(manifest, []byte(denyVote), 0o600); err != nil {
		t.Fatal(err)
	}
	u.netpol("apply", "-f", manifest)
	var report struct {
		Summary struct{ Pairs, Blocked, Error int }
		Items   []struct {
			Destination struct{ Namespace string }
			Source      struct{ Namespace string }
			Result      string
			DeniedBy    *struct{ Name, Direction string }
		}
	}
	if err := json.Unmarshal([]byte(u.netpol("probe", "-A", "--family", "both", "-o", "json")), &report); err != nil {
		t.Fatal(err)
	}
	for _, it := range report.Items {
		want := "connected"
		if it.Source.Namespace == "vote" || it.Destination.Namespace == "vote" {
			want = "blocked"
		}
		if it.Result != want || (it.DeniedBy != nil) != (want == "blocked") || it.DeniedBy != nil && it.DeniedBy.Name != "default-deny" {
			t.Errorf("%+v, want %s", it, want)
		}
	}
	if report.Summary.Blocked == 0 || report.Summary.Error > 0 {
		t.Errorf("%+v", report.Summary)
	}
	expected, err := os.CreateTemp(t.TempDir(), "expected")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := expected.WriteString(u.netpol("connectivity", "-A", "-o", "json")); err != nil {
		t.Fatal(err)
	}
	u.netpol("probe", "-A", "--family", "both", "--expect", expected.Name())
	u.netpol("probe", "-A", "--family", "both", "--via", "service", "--expect", expected.Name())
	u.netpol("lab", "down")
}

// TestAgentIsStartedAgain: the node starts an agent that was killed again, and
// nothing that is denied gets through meanwhile.
func TestAgentIsStartedAgain(t *testing.T) {
	u := newUser(t)
	u.netpol(upArgs()...)
	manifest := filepath.Join(t.TempDir(), "deny.yaml")
	if err := os.WriteFile(manifest, []byte(denyVote), 0o600); err != nil {
		t.Fatal(err)
	}
	u.netpol("apply", "-f", manifest)
	pid := agentProcess(t, u.status().AgentSocket)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		stdout, _, _ := u.try(context.WithoutCancel(t.Context()), "probe", "--to", "db", "--timeout", "100ms", "-o", "json")
		if strings.Contains(stdout, `"result": "connected"`) {
			t.Errorf("db was reached while there was no agent:\n%s", stdout)
		}
	}
	await(t, "the agent to be back", func() bool { s := u.status(); return s.Agent.Ready && s.Agent.Restarts == 1 })
	u.netpol("probe", "--to", "db", "--expect", "deny")
	u.netpol("lab", "down")
}

// agentProcess is the process that listens on a socket, as this process
// numbers it.
func agentProcess(t *testing.T, socket string) int {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	cred, err := syscall.GetsockoptUcred(fd, syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	if err != nil {
		t.Fatal(err)
	}
	return int(cred.Pid)
}
