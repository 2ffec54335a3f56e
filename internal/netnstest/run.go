//go:build linux

// Package netnstest runs tests in network namespaces of their own, as root
// and as an ordinary user alike, so that they may change rules, addresses and
// routes without touching the machine.
//
// It is for test code only, and it does not know what a pod or a node is.
package netnstest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// insideEnv marks the process that runs inside the new namespaces.
const insideEnv = "NETPOL_NETNSTEST_INSIDE"

// Inside tells whether this process already runs in namespaces made by Run or
// Bench.
func Inside() bool { return os.Getenv(insideEnv) != "" }

// Run runs body inside new user, network and mount namespaces with the
// loopback up: the test executes itself again there and reports what came of
// it. Where the machine forbids namespaces the test is skipped with the
// reason, or fails if CI is set in the environment.
//
// Call it once a test, in the top-level test function, with everything that
// the test does in body.
func Run(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if Inside() {
		loopbackUp(t)
		body(t)
		return
	}
	pattern := "^" + regexp.QuoteMeta(t.Name()) + "$"
	args := []string{"-test.run=" + pattern, "-test.count=1"}
	if sub := subPattern("run"); sub != "" {
		args[0] += sub
	}
	if testing.Verbose() {
		args = append(args, "-test.v")
	}
	if deadline, ok := t.Deadline(); ok {
		args = append(args, "-test.timeout="+remaining(deadline))
	}
	out, err := execute(args)
	switch {
	case errors.Is(err, errForbidden):
		refuse(t, err)
	case err != nil:
		t.Fatalf("in namespaces: %v\n%s", err, out)
	case strings.Contains(out, "no tests to run"):
		t.Fatalf("the test did not find itself in the new process:\n%s", out)
	case strings.Contains(out, skipMark):
		_, reason, _ := strings.Cut(out, skipMark)
		reason, _, _ = strings.Cut(reason, "\n")
		t.Skip(reason)
	case testing.Verbose():
		t.Logf("in namespaces:\n%s", out)
	}
}

// Bench is Run for benchmarks: the result lines are those of the process
// inside, and the outer benchmark counts as skipped.
func Bench(b *testing.B, body func(b *testing.B)) {
	b.Helper()
	if Inside() {
		loopbackUp(b)
		body(b)
		return
	}
	pattern := "^" + regexp.QuoteMeta(b.Name()) + "$" + subPattern("bench")
	args := []string{"-test.run=^$", "-test.bench=" + pattern, "-test.count=1"}
	for _, name := range []string{"benchtime", "benchmem"} {
		args = append(args, "-test."+name+"="+flagValue("test."+name))
	}
	out, err := execute(args)
	if errors.Is(err, errForbidden) {
		refuse(b, err)
	}
	if err != nil {
		b.Fatalf("in namespaces: %v\n%s", err, out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "Benchmark") {
			fmt.Print(line)
		}
	}
	b.SkipNow()
}

// skipMark goes before the reason of a Skip inside, for the process outside.
const skipMark = "netnstest-skip: "

// Skip skips a test inside namespaces, so that the outer one shows the reason.
func Skip(t testing.TB, reason string) {
	t.Helper()
	fmt.Println(skipMark + reason)
	t.Skip(reason)
}

var errForbidden = errors.New("network namespaces are forbidden here")

func refuse(t testing.TB, err error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("CI must run this test: %v", err)
	}
	t.Skip(err)
}

// execute runs this program again, first in a user namespace (any user) and,
// where those are switched off, as root without one.
func execute(args []string) (string, error) {
	// The parent-death signal follows the thread that forked, so keep it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := start(args, true)
	if errors.Is(err, errForbidden) && os.Geteuid() == 0 {
		return start(args, false)
	}
	return out, err
}

func start(args []string, userNS bool) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	attr := &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if userNS {
		attr.Cloneflags |= syscall.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	cmd.SysProcAttr = attr
	var buf strings.Builder
	cmd.Stdout, cmd.Stderr = &buf, &buf
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("%w: %w", errForbidden, err)
	}
	err = cmd.Wait()
	return buf.String(), err
}
