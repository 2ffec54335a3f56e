//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupPrefix and the number of the process outside name a sandbox's cgroup.
const cgroupPrefix = "netpol-e2e-"

// hierarchies are where cgroups are mounted: one directory for version 2, one
// for every controller of version 1.
func hierarchies() ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(line, " - ")
		if fields := strings.Fields(before); ok && strings.HasPrefix(after, "cgroup") && len(fields) > 4 {
			found = append(found, fields[4])
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no cgroups are mounted")
	}
	return found, nil
}

// makeCgroup makes a cgroup in every hierarchy. kubelet wants its root there.
func makeCgroup(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := filepath.Join(root, name)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := delegate(root, name); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
		// Version 1 starts a cpuset empty, and nothing may run in it then.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
			if err != nil || len(strings.TrimSpace(string(value))) == 0 {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, file), value, 0); err != nil {
				return fmt.Errorf("cgroup: %w", err)
			}
		}
	}
	return nil
}

// delegate gives a cgroup of version 2 the controllers that its hierarchy has:
// each one above it must hand them down, and kubelet refuses a root without them.
// Version 1 has a hierarchy a controller, and nothing to hand down.
func delegate(root, name string) error {
	dir := root
	for part := range strings.SplitSeq(name, "/") {
		have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if !slices.Contains(strings.Fields(string(have)), "memory") {
			return nil // beside version 1, which has what counts
		}
		var add []string
		for c := range strings.FieldsSeq(string(have)) {
			add = append(add, "+"+c)
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(strings.Join(add, " ")), 0); err != nil {
			return err
		}
		dir = filepath.Join(dir, part)
	}
	return nil
}

// removeCgroup removes a cgroup with all below it. Its processes are about to
// be gone.
func removeCgroup(name string) error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		err = nil
		for _, root := range roots {
			err = errors.Join(err, removeTree(filepath.Join(root, name)))
		}
		if err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

func removeTree(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			dirs = append(dirs, path)
		}
		return nil // gone meanwhile is what we want
	})
	for _, each := range slices.Backward(dirs) { // children first
		if rm := os.Remove(each); rm != nil && !errors.Is(rm, os.ErrNotExist) {
			err = errors.Join(err, rm)
		}
	}
	return err
}

// removeStaleCgroups removes those of sandboxes whose outer process was killed.
func removeStaleCgroups() error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	stale := make(map[string]bool)
	for _, root := range roots {
		dirs, err := filepath.Glob(filepath.Join(root, cgroupPrefix+"*"))
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			name := filepath.Base(dir)
			pid, err := strconv.Atoi(strings.TrimPrefix(strings.SplitN(name, "/", 2)[0], cgroupPrefix))
			if err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
				stale[name] = true
			}
		}
	}
	for name := range stale {
		err = errors.Join(err, removeCgroup(name))
	}
	return err
}
