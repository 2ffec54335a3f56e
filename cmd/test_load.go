package cmd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/policytest"
	"github.com/netpol-project/netpol/pkg/tier"
)

// readTests reads the tests of all -f. All faults of all files are told at
// once; a path without any test is an error too.
func readTests(opts *TestOptions) ([]*policytest.Test, error) {
	var out []*policytest.Test
	var all policy.Faults
	for _, path := range opts.Files {
		files, err := manifestFiles(path, opts.Recursive)
		if err != nil {
			return nil, err
		}
		found := 0
		for _, file := range files {
			data, err := readManifest(opts.Factory.IO.In, file)
			if err != nil {
				return nil, err
			}
			if file == "-" {
				file = standardInput
			}
			tests, faults := policytest.Parse(file, data)
			out, all = append(out, tests...), append(all, faults...)
			found += len(tests) + len(faults)
		}
		if found == 0 {
			e := &cli.Error{What: "no tests in " + path, Try: "netpol test --help, which shows one"}
			if len(files) == 0 && !opts.Recursive {
				e.Try = "-R looks into directories within directories"
			}
			return nil, e
		}
	}
	return out, cli.FaultsError(all)
}

// testWorld is what tests are about.
type testWorld struct {
	model *tier.Model
	// dir is what explain would be asked about; empty: what it is asked about by
	// itself.
	dir string
	// silent: explain can't be asked about it.
	silent bool
}

// testSession runs tests, and reads what they are about once.
type testSession struct {
	opts   *TestOptions
	worlds map[string]*testWorld
	noted  bool
}

// run runs one test.
func (s *testSession) run(ctx context.Context, t *policytest.Test, pick func(string) bool) (testRan, error) {
	w, err := s.world(ctx, t)
	if err != nil {
		return testRan{}, err
	}
	var scope tier.Scope
	if s.opts.Scope.pending || s.opts.Scope.only != "" {
		scope, err = s.opts.Scope.scope(w.model.Snapshot(), "")
	} else if scope, err = t.Scope.Tier(w.model.Snapshot()); err != nil {
		err = &cli.Error{What: t.Scope.Origin.String() + ": scope: " + nameError(err), Try: "netpol get policies -A", Err: err}
	}
	if err != nil {
		return testRan{}, err
	}
	start := s.opts.Factory.Now()
	ran := testRan{Report: policytest.Run(w.model, scope, t, pick), world: w}
	if s.opts.Live {
		if err := s.probe(ctx, &ran, scope); err != nil {
			return testRan{}, err
		}
	}
	ran.took = s.opts.Factory.Now().Sub(start)
	return ran, nil
}

// world reads what a test is about: the manifests that it names, or else, and
// where the user typed it, the store in use.
func (s *testSession) world(ctx context.Context, t *policytest.Test) (*testWorld, error) {
	own := len(t.Resources) > 0 && s.opts.StoreTyped == "" && !s.opts.Live
	if len(t.Resources) > 0 && !own && !s.noted {
		s.noted = true
		what := "--live"
		if s.opts.StoreTyped != "" {
			what = s.opts.StoreTyped
		}
		s.opts.Factory.IO.ErrPrinter().Printf("note: %s is given, so what is there is tested, and not the resources that tests name\n", what)
	}
	var paths []string
	if own {
		for _, p := range t.Resources {
			paths = append(paths, resourcePath(t, p.Text))
		}
	}
	key := strings.Join(paths, "\n")
	if w := s.worlds[key]; w != nil {
		return w, nil
	}
	var w *testWorld
	var err error
	if own {
		w, err = s.readWorld(ctx, t, paths)
	} else {
		w, err = s.storeWorld(ctx)
	}
	s.worlds[key] = w
	return w, err
}

// resourcePath is a path as seen from the test's file.
func resourcePath(t *policytest.Test, path string) string {
	if filepath.IsAbs(path) || t.Origin.File == standardInput {
		return path
	}
	return filepath.Join(filepath.Dir(t.Origin.File), path)
}

// readWorld reads manifests; directories with all that are in them, as --dir
// does.
func (s *testSession) readWorld(ctx context.Context, t *policytest.Test, paths []string) (*testWorld, error) {
	var resources []policy.Resource
	var all policy.Faults
	w := &testWorld{silent: true}
	dec := policy.NewDecoder()
	for i, path := range paths {
		files, err := manifestFiles(path, true)
		var typed *cli.Error
		if errors.As(err, &typed) {
			typed.What = fmt.Sprintf("%s: resources: %s", t.Resources[i].Origin, typed.What)
		}
		if err != nil {
			return nil, err
		}
		if len(paths) == 1 && (len(files) != 1 || files[0] != path) {
			w.dir, w.silent = path, false
		}
		for _, file := range files {
			data, err := readManifest(nil, file)
			if err != nil {
				return nil, err
			}
			found, faults := dec.Decode(file, data)
			resources, all = append(resources, found...), append(all, faults...)
		}
	}
	snap, more := policy.NewSnapshot(1, resources, nil)
	snap, err := s.opts.Source.onto(ctx, s.opts.Factory, snap)
	if err != nil {
		return nil, err
	}
	w.model = tier.New(snap, nil)
	return w, s.trust(append(all, more...))
}

// storeWorld reads the store in use.
func (s *testSession) storeWorld(ctx context.Context) (*testWorld, error) {
	store, err := s.opts.Source.storeOf(s.opts.Factory)()
	if err != nil {
		return nil, err
	}
	snap, faults, err := store.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if snap, err = s.opts.Source.onto(ctx, s.opts.Factory, snap); err != nil {
		return nil, err
	}
	return &testWorld{model: tier.New(snap, nil)}, s.trust(faults)
}

// trust refuses resources with errors: a test that passes without a policy that
// could not be read proves nothing. What netpol can't judge yet, and warnings,
// are told.
func (s *testSession) trust(faults policy.Faults) error {
	var bad, told policy.Faults
	for _, f := range faults {
		if f.Warning || f.Unsupported {
			told = append(told, f)
		} else {
			bad = append(bad, f)
		}
	}
	tellFaults(s.opts.Factory.IO, told)
	if len(bad) == 0 {
		return nil
	}
	e := &cli.Error{What: "the resources have errors, so tests of them would prove nothing", Try: "correct them", Err: bad}
	for i := range bad {
		e.Where = append(e.Where, bad[i].Error())
	}
	return e
}
