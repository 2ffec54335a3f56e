//go:build linux

package e2e_test

import (
	"strconv"
	"syscall"
	"testing"
)

// kill ends a process as a crash does.
func kill(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Fatalf("kill %d: %v", n, err)
	}
}
