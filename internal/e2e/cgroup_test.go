//go:build linux

package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// A cgroup of version 2 has the controllers that all above it hand down.
func TestControllersAreHandedDown(t *testing.T) {
	root := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, path), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "sandbox/node1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := delegate(root, "sandbox/node1"); err != nil {
		t.Errorf("version 1: %v", err)
	}
	for _, dir := range []string{"", "sandbox"} {
		write(filepath.Join(dir, "cgroup.controllers"), "cpuset cpu memory pids\n")
		write(filepath.Join(dir, "cgroup.subtree_control"), "")
	}
	if err := delegate(root, "sandbox/node1"); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{"", "sandbox"} {
		got, err := os.ReadFile(filepath.Join(root, dir, "cgroup.subtree_control"))
		if err != nil || string(got) != "+cpuset +cpu +memory +pids" {
			t.Errorf("%q hands down %q, %v", dir, got, err)
		}
	}
	write("cgroup.controllers", "hugetlb")
	write("cgroup.subtree_control", "")
	if err := delegate(root, "sandbox"); err != nil {
		t.Errorf("beside version 1: %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(root, "cgroup.subtree_control")); err != nil || len(got) > 0 {
		t.Errorf("beside version 1 the machine hands down %q, %v", got, err)
	}
}
