package lab_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/cmd"
	"github.com/netpol-project/netpol/internal/lab"
)

// asNetpol makes this test binary be netpol: labs start the program that made
// them again for their processes.
const asNetpol = "NETPOL_LAB_TEST_AS_NETPOL"

func TestMain(m *testing.M) {
	if os.Getenv(asNetpol) != "" {
		os.Exit(cmd.Main())
	}
	os.Exit(m.Run())
}

// user is somebody who types netpol commands, with labs of their own.
type user struct {
	t   *testing.T
	run string // XDG_RUNTIME_DIR
}

func newUser(t *testing.T) *user {
	t.Helper()
	dir, err := os.MkdirTemp("", "np")
	if err != nil {
		t.Fatal(err)
	}
	u := &user{t: t, run: dir}
	t.Cleanup(func() {
		// Nothing is left of the test's own cleaning up.
		_, _, _ = u.try(context.Background(), "lab", "down", "--all")
		_ = os.RemoveAll(dir)
	})
	return u
}

// try runs netpol and returns what it wrote and its exit code.
func (u *user) try(ctx context.Context, args ...string) (stdout, stderr string, code int) {
	exe, err := os.Executable()
	if err != nil {
		u.t.Fatal(err)
	}
	c := exec.CommandContext(ctx, exe, args...)
	c.Env = u.environment()
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	err = c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		u.t.Fatal(err)
	}
	return out.String(), errOut.String(), c.ProcessState.ExitCode()
}

// environment is that of the user's shell. The race detector, if the test runs
// with it, would keep every process for a second after its end.
func (u *user) environment() []string {
	return append(os.Environ(), asNetpol+"=1", "XDG_RUNTIME_DIR="+u.run, "TMPDIR="+u.run, "NETPOL_CONFIG=",
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE"))
}

// netpol runs a command that must succeed.
func (u *user) netpol(args ...string) string {
	u.t.Helper()
	stdout, stderr, code := u.try(u.t.Context(), args...)
	if code != 0 {
		if strings.Contains(stderr, "does not allow the namespaces") {
			u.forbidden(stderr)
		}
		u.t.Fatalf("netpol %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// forbidden skips, with the reason, but never where CI must prove it.
func (u *user) forbidden(why string) {
	u.t.Helper()
	if os.Getenv("CI") != "" {
		u.t.Fatalf("CI must be able to run labs: %s", why)
	}
	u.t.Skip(why)
}

func (u *user) status(args ...string) lab.Status {
	u.t.Helper()
	var s lab.Status
	if err := json.Unmarshal([]byte(u.netpol(append([]string{"lab", "status", "-o", "json"}, args...)...)), &s); err != nil {
		u.t.Fatal(err)
	}
	return s
}

// await waits until a condition holds. How long that may take says nothing of a
// test that passes.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

const examples = "../../examples"

func upArgs(more ...string) []string {
	return append([]string{"lab", "up", "-f", filepath.Join(examples, "vote"), "-f", filepath.Join(examples, "wordpress")}, more...)
}

func TestLabLife(t *testing.T) {
	u := newUser(t)
	u.netpol(upArgs()...)
	s := u.status()
	if !s.Agent.Ready {
		t.Errorf("the agent is not ready: %+v", s.Agent)
	}
	if len(s.Pods) != 8 || s.Name != "default" || s.Kind != "LabStatus" {
		t.Errorf("status %+v", s)
	}
	for _, p := range append(s.Pods, s.Outside) {
		if !p.Running {
			t.Errorf("%s does not run", p.Name)
		}
	}
	if targets := u.reached(); targets != 7 {
		t.Errorf("%d targets, want 7", targets)
	}

	t.Run("ProbeReachesEverything", func(t *testing.T) {
		u := &user{t: t, run: u.run}
		var report struct {
			Summary struct{ Pairs, Connected int }
		}
		for family, want := range map[string]int{"4": 56, "6": 56, "both": 112} {
			if err := json.Unmarshal([]byte(u.netpol("probe", "-A", "--family", family, "-o", "json")), &report); err != nil {
				t.Fatal(err)
			}
			if report.Summary.Pairs != want || report.Summary.Connected != want {
				t.Errorf("family %s: %+v, want %d pairs, all connected", family, report.Summary, want)
			}
		}
		u.netpol("probe", "--expect", "allow")
		u.netpol("probe", "-A", "--via", "service", "--family", "both", "--expect", "allow")
		if _, _, code := u.try(t.Context(), "probe", "--expect", "deny"); code != 1 {
			t.Errorf("--expect deny: exit code %d, want 1", code)
		}
		if out := u.netpol("probe", "--from", "worker", "--to", "db", "--port", "9", "-o", "json"); !strings.Contains(out, `"result": "closed"`) {
			t.Errorf("a port on which nobody listens: %s", out)
		}
	})
	t.Run("SecondUpSaysWhatToDo", func(t *testing.T) {
		_, stderr, code := u.try(t.Context(), upArgs()...)
		if code != 2 || !strings.Contains(stderr, "running already") || !strings.Contains(stderr, "netpol lab down") {
			t.Errorf("exit code %d: %s", code, stderr)
		}
	})
	t.Run("CountersStartAgain", func(t *testing.T) {
		before := u.status().CountedSince
		u.netpol("lab", "status", "--reset")
		await(t, "new connections", func() bool {
			s := u.status()
			return s.CountedSince.After(before) && s.Outside.Targets[0].OK > 0 && s.Outside.Targets[0].Failed == 0
		})
	})
	u.netpol("lab", "down")
	gone(t, s.PID)
	if left, err := os.ReadDir(u.run); err != nil || len(left) > 0 {
		t.Errorf("lab down left %v, %v", left, err)
	}
	if _, stderr, code := u.try(t.Context(), "lab", "status"); code != 2 || !strings.Contains(stderr, "netpol lab up") {
		t.Errorf("status without a lab: exit code %d: %s", code, stderr)
	}
}

// reached waits until every target was reached, and counts them. None may have
// been missed.
func (u *user) reached() (targets int) {
	u.t.Helper()
	await(u.t, "every target to be reached", func() bool {
		all := true
		targets = 0
		s := u.status()
		for _, p := range append(s.Pods, s.Outside) {
			for _, target := range p.Targets {
				targets++
				all = all && target.OK > 0
				if target.Failed > 0 {
					u.t.Fatalf("%s → %s: %d ok, %d failed: %s", p.Name, target.Target, target.OK, target.Failed, target.LastError)
				}
			}
		}
		return all
	})
	return targets
}

// TestPolicyTestsLive runs the tests of the examples against the model and
// against the kernel of a lab, before and after their policies are there.
func TestPolicyTestsLive(t *testing.T) {
	u := newUser(t)
	u.netpol(upArgs("--lab", "live")...)
	type report struct {
		Summary struct{ Cases, Passed, Failed, Errors, Skipped, Probed int }
		Items   []struct {
			Name, Result string
			Checks       []struct{ Got, Probe, Result string }
		}
	}
	run := func(args ...string) (r report, code int) {
		t.Helper()
		stdout, stderr, code := u.try(t.Context(), append([]string{"test", "--live", "--lab", "live", "-o", "json", "-f"}, args...)...)
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatalf("%v\n%s%s", err, stdout, stderr)
		}
		return r, code
	}
	tests := filepath.Join(examples, "tests")
	before, code := run(tests)
	if code != 1 || before.Summary.Failed == 0 {
		t.Errorf("without policies: exit code %d, %+v", code, before.Summary)
	}
	for _, it := range before.Items {
		for _, c := range it.Checks {
			if c.Probe != "" && (c.Got != "allow" || c.Probe != "connected") {
				t.Errorf("without policies %s: the model says %s, the kernel %s", it.Name, c.Got, c.Probe)
			}
		}
	}
	u.netpol("apply", "--lab", "live", "-f", filepath.Join(tests, "policies"))
	after, code := run(tests)
	if code != 0 || after.Summary.Failed+after.Summary.Errors > 0 || after.Summary.Probed < 30 || after.Summary.Skipped != 1 {
		t.Errorf("with the policies: exit code %d, %+v", code, after.Summary)
	}
	ping := filepath.Join(t.TempDir(), "ping.yaml")
	if err := os.WriteFile(ping, []byte("apiVersion: netpol.dev/v1\nkind: PolicyTest\nmetadata: {name: ping}\ncases:\n"+
		"- {from: vote/worker, to: vote/result, protocol: ICMP, expect: deny, by: {direction: Egress}}\n"+
		"- {from: vote/worker, to: vote/result, protocol: ICMPv6, expect: deny}\n"+
		"- {from: wordpress/wordpress, to: [vote/result, wordpress/mysql], protocol: ICMP, expect: allow}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, code := run(ping); code != 0 || r.Summary.Probed != 4 || r.Summary.Passed != 3 {
		t.Errorf("pings: exit code %d, %+v %+v", code, r.Summary, r.Items)
	}
	if flows := u.netpol("flows", "--lab", "live"); strings.Contains(flows, "ICMP") {
		t.Errorf("pings of probes are among the flows:\n%s", flows)
	}
}

// gone checks that no process of a lab is left: its first one has ended, and
// with it its process namespace.
func gone(t *testing.T, pid int) {
	t.Helper()
	await(t, "the lab's process to end", func() bool {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		return err != nil || strings.Contains(string(data), ") Z ")
	})
}

func TestLabsSideBySideAndKilled(t *testing.T) {
	u := newUser(t)
	u.netpol(upArgs("--lab", "one", "--no-agent")...)
	u.netpol(upArgs("--lab", "two", "--no-agent")...)
	one, two := u.status("--lab", "one"), u.status("--lab", "two")
	if one.PID == two.PID || one.Directory == two.Directory {
		t.Errorf("they are the same lab: %+v %+v", one, two)
	}
	process, err := os.FindProcess(one.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	gone(t, one.PID)
	if _, stderr, code := u.try(t.Context(), "lab", "status", "--lab", "one"); code != 2 || !strings.Contains(stderr, "not running") {
		t.Errorf("status of the killed one: exit code %d: %s", code, stderr)
	}
	if !u.status("--lab", "two").Outside.Running {
		t.Error("the other one does not run")
	}
	// What a killed lab left is no obstacle.
	u.netpol(upArgs("--lab", "one", "--no-agent")...)
	u.netpol("lab", "down", "--all")
	if left, err := os.ReadDir(u.run); err != nil || len(left) > 0 {
		t.Errorf("lab down --all left %v, %v", left, err)
	}
}

func TestInterruptedUpLeavesNothing(t *testing.T) {
	u := newUser(t)
	ctx, cancel := context.WithCancel(t.Context())
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(ctx, exe, upArgs("--no-agent")...)
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.Env = u.environment()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	pidFile := filepath.Join(u.run, "netpol/labs/default/pid")
	await(t, "the lab to start", func() bool { data, err := os.ReadFile(pidFile); return err == nil && len(data) > 0 })
	pid := 0
	if data, err := os.ReadFile(pidFile); err == nil {
		pid, _ = strconv.Atoi(string(data))
	}
	cancel()
	err = c.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 130 {
		if left, err := os.ReadDir(u.run); err != nil || len(left) > 0 {
			t.Errorf("left %v, %v", left, err)
		}
		if pid > 0 {
			gone(t, pid)
		}
		return
	}
	// It was up before the signal came: then it is a lab like any other.
	u.netpol("lab", "down")
}
