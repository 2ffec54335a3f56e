package kubetest

import (
	"context"
	"errors"
	"sync"
	"testing"
)

// Shared is one control plane for all tests of a package: it starts when the
// first test asks for it. The zero value is the usual one.
type Shared struct {
	// Options are read when it starts.
	Options Options

	once  sync.Once
	plane *ControlPlane
	err   error
}

// Around wraps the tests of a package, so that the control plane ends with
// them. In TestMain: os.Exit(shared.Around(m).Run()), or give it to
// testscript.Main.
func (s *Shared) Around(m interface{ Run() int }) *Runner { return &Runner{shared: s, tests: m} }

// Runner runs a package's tests and stops their control plane.
type Runner struct {
	shared *Shared
	tests  interface{ Run() int }
}

// Run returns the exit code of the tests.
func (r *Runner) Run() int {
	defer func() {
		if r.shared.plane != nil {
			r.shared.plane.Stop()
		}
	}()
	return r.tests.Run()
}

// Get is the control plane. Where the environment names no binaries the test
// is skipped; if those that it names do not work, it fails.
func (s *Shared) Get(t testing.TB) *ControlPlane {
	t.Helper()
	s.once.Do(func() { s.plane, s.err = Start(context.Background(), s.Options) })
	if errors.Is(s.err, ErrNoBinaries) {
		t.Skip(s.err)
	}
	if s.err != nil {
		t.Fatalf("control plane: %v", s.err)
	}
	return s.plane
}

// New is a control plane of a test's own, for tests that stop it or fill it.
func New(t testing.TB, opts Options) *ControlPlane {
	t.Helper()
	plane, err := Start(context.Background(), opts)
	if errors.Is(err, ErrNoBinaries) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("control plane: %v", err)
	}
	t.Cleanup(plane.Stop)
	return plane
}
