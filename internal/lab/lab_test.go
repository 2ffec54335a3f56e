package lab

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/netpol-project/netpol/internal/lab/plan"
	"github.com/netpol-project/netpol/pkg/policy"
)

// shortDir is a directory with a path short enough for sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "np")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"default": true, "a": true, "demo-123": true, "": false, "A": false, "-a": false, "a-": false,
		"../x": false, "a/b": false, strings.Repeat("a", 32): true, strings.Repeat("a", 33): false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNothingIsWrittenByAsking(t *testing.T) {
	run := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", run)
	if _, err := Dial("default"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Dial: %v, want ErrNotRunning", err)
	}
	if err := Down(t.Context(), "default"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Down: %v, want ErrNotRunning", err)
	}
	if labs, err := List(); err != nil || len(labs) != 0 {
		t.Errorf("List: %v, %v", labs, err)
	}
	if left, err := os.ReadDir(run); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestNotRunningSaysWhatToType(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", shortDir(t))
	_, err := Dial("second")
	var hint *Hint
	if !errors.As(err, &hint) || !strings.Contains(hint.Try, "netpol lab up") || !strings.Contains(hint.Try, "--lab second") {
		t.Errorf("%v with hint %+v", err, hint)
	}
}

func TestDirectoryOfSomebodyElseIsRefused(t *testing.T) {
	run := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", run)
	if err := os.MkdirAll(filepath.Join(run, "netpol", "labs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(run, "netpol", "labs"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Dial("default"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Dial: %v, want a refusal", err)
	}
	up := &Up{Name: "default", Files: []plan.File{{Name: "a.yaml", Given: "a.yaml"}}}
	if _, err := up.Run(t.Context()); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Up: %v, want a refusal", err)
	}
}

func TestLockIsSeenAndKeptUntilClosed(t *testing.T) {
	d := Dir(t.TempDir())
	if d.alive() {
		t.Fatal("alive without a lock")
	}
	f, err := d.lock()
	if err != nil {
		t.Fatal(err)
	}
	if !d.alive() {
		t.Error("not alive though locked")
	}
	if _, err := d.lock(); !errors.Is(err, errLocked) {
		t.Errorf("locked twice: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if d.alive() {
		t.Error("alive though the lock is closed")
	}
}

func TestDownRemovesWhatAKilledLabLeft(t *testing.T) {
	run := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", run)
	d, err := dirOf("default")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.makeDir(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.pidFile(), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	labs, err := List()
	if err != nil || len(labs) != 1 || labs[0].Running {
		t.Errorf("List: %+v, %v", labs, err)
	}
	if err := Down(t.Context(), "default"); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(run); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFaultyManifestsLeaveNothing(t *testing.T) {
	run := shortDir(t)
	t.Setenv("XDG_RUNTIME_DIR", run)
	for name, tc := range map[string]struct{ data, want string }{
		"YAML":     {"a: b: c\n", "x.yaml:1"},
		"selector": {"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata:\n  name: a\nspec:\n  selector: app = 'x'\n", "x.yaml:6"},
		"target":   {"apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  annotations:\n    netpol.dev/connect: db\nspec:\n  nodeName: x\n", "no port"},
	} {
		up := &Up{Name: "default", Files: []plan.File{{Name: "x.yaml", Given: "x.yaml", Data: []byte(tc.data)}}}
		_, err := up.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want one with %q", name, err, tc.want)
		}
		var faults policy.Faults
		if name == "selector" && !errors.As(err, &faults) {
			t.Errorf("%s: %T, want policy.Faults", name, err)
		}
	}
	if left, err := os.ReadDir(run); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestGather(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{
		"app/a.yaml": "a", "app/b.yml": "b", "app/c.json": "c", "app/readme.md": "no", "app/deep/d.yaml": "d", "other/app/e.yaml": "e",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	app, other := filepath.Join(dir, "app"), filepath.Join(dir, "other", "app")
	for _, tc := range []struct {
		paths     []string
		recursive bool
		want      string
	}{
		{[]string{app}, false, "app/a.yaml app/b.yml app/c.json"},
		{[]string{app}, true, "app/a.yaml app/b.yml app/c.json app/deep/d.yaml"},
		{[]string{app, other}, false, "app/a.yaml app/b.yml app/c.json app-2/e.yaml"},
		{[]string{filepath.Join(app, "a.yaml"), "-"}, false, "a.yaml stdin.yaml"},
	} {
		files, err := Gather(tc.paths, tc.recursive, strings.NewReader("x"))
		var got []string
		for _, f := range files {
			got = append(got, f.Name)
		}
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%v: %v, %v; want %s", tc.paths, got, err, tc.want)
		}
	}
	if _, err := Gather([]string{filepath.Join(dir, "nothing")}, false, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
	if _, err := Gather([]string{dir}, false, nil); err == nil || !strings.Contains(err.Error(), "no manifests") {
		t.Errorf("no manifests: %v", err)
	}
}
