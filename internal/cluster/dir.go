package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Dir is a Store in a directory of manifests: every YAML and JSON file below
// it, as kubectl reads them with -R. Files and directories whose names begin
// with a dot, and what editors leave behind, are no manifests.
//
// A Dir keeps what was decoded, not the files' text. It is safe for use by
// several goroutines, and several processes may change one directory.
type Dir struct {
	root string
	// only is the one file that counts, "" for all of the directory; asIs puts
	// new files right into the directory.
	only string
	asIs bool
	dec  *policy.Decoder

	mu    sync.Mutex
	files []*file // sorted by path
	// flat and fileFaults are the resources and faults of all files in their
	// order, kept so that the change of one file need not copy the others'.
	// flatOK says they are right.
	flat       []policy.Resource
	fileFaults policy.Faults
	flatOK     bool
	// stale says that snap is older than files.
	stale  bool
	rev    uint64
	snap   *policy.Snapshot
	faults policy.Faults

	watch watchState
}

var _ Store = (*Dir)(nil)

// file is one file of manifests as it was last read.
type file struct {
	path      string // below the root, as it was given
	stamp     stamp
	resources []policy.Resource
	from      int // index of the first in Dir.flat, if Dir.flatOK
	faults    policy.Faults
}

// OpenDir opens a directory of manifests and reads it. Faults in manifests
// are no error here: Snapshot tells them.
func OpenDir(path string) (*Dir, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("directory of manifests: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("directory of manifests: %s is a file", path)
	}
	// The path stays as it was typed: it is what faults show.
	d := &Dir{root: filepath.Clean(path), dec: policy.NewDecoder(), stale: true}
	if err := d.rescan(); err != nil {
		return nil, err
	}
	return d, nil
}

// OpenKept opens what somebody keeps policies in: a directory, into which new
// files go as they are, or one file (PATH.yaml or .yml), which need not be there
// yet and takes all that is new. It is not for watching.
func OpenKept(path string) (*Dir, error) {
	info, err := os.Stat(path)
	isFile := err == nil && info.Mode().IsRegular()
	if errors.Is(err, fs.ErrNotExist) && slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)) {
		_, err = os.Stat(filepath.Dir(path))
		isFile = true
	}
	switch {
	case err != nil:
		return nil, err
	case !isFile && !info.IsDir():
		return nil, fmt.Errorf("%s is neither a file nor a directory", path)
	case !isFile:
		d, err := OpenDir(path)
		if err == nil {
			d.asIs = true
		}
		return d, err
	}
	path = filepath.Clean(path)
	d := &Dir{root: filepath.Dir(path), only: path, dec: policy.NewDecoder(), stale: true}
	return d, d.rescan()
}

// Path is the directory.
func (d *Dir) Path() string { return d.root }

// Reload is everything that was written to the directory before the call, as
// the next State of every Watch has it.
func (d *Dir) Reload(ctx context.Context) (State, error) {
	watching, err := d.fence(ctx)
	if err != nil {
		return State{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !watching {
		if err := d.rescan(); err != nil {
			return State{}, err
		}
	}
	return d.state(), nil
}

// Snapshot is everything in the directory now.
func (d *Dir) Snapshot(ctx context.Context) (*policy.Snapshot, policy.Faults, error) {
	s, err := d.Reload(ctx)
	return s.Snapshot, s.Faults, err
}

// state brings the snapshot up to date with the files. d.mu is held.
func (d *Dir) state() State {
	if d.stale {
		if !d.flatOK {
			d.flatten()
		}
		d.rev++
		snap, more := policy.NewSnapshot(d.rev, d.flat, d.snap)
		d.snap, d.faults, d.stale = snap, slices.Concat(d.fileFaults, more), false
	}
	return State{Snapshot: d.snap, Faults: d.faults}
}

// flatten puts the resources and faults of all files into one list each. d.mu
// is held.
func (d *Dir) flatten() {
	d.flat, d.fileFaults = d.flat[:0], nil
	for _, f := range d.files {
		d.fileFaults = append(d.fileFaults, f.faults...)
		f.from = len(d.flat)
		d.flat = append(d.flat, f.resources...)
	}
	clear(d.flat[len(d.flat):cap(d.flat)])
	d.flatOK = true
}

// Keys are all resources there are, also those with faults.
func (d *Dir) Keys(_ context.Context) ([]policy.Key, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.rescan(); err != nil {
		return nil, err
	}
	var out []policy.Key
	for _, r := range d.where(func(policy.Key) bool { return true }) {
		out = append(out, r.Key)
	}
	return out, nil
}

// Get reads one resource. Its resourceVersion stands for its text: a Change
// with an object that carries it fails if the text is another by then.
func (d *Dir) Get(_ context.Context, key policy.Key) (*unstructured.Unstructured, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.rescan(); err != nil {
		return nil, err
	}
	found := d.where(func(k policy.Key) bool { return k == key })
	if len(found) == 0 {
		return nil, fmt.Errorf("%s: %w", key, ErrNotFound)
	}
	objects, err := readObjects(found[:1])
	if err != nil {
		return nil, err
	}
	return objects[0], nil
}

// List reads the resources of a kind.
func (d *Dir) List(_ context.Context, kind policy.Kind, namespace string) ([]*unstructured.Unstructured, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.rescan(); err != nil {
		return nil, err
	}
	out, err := readObjects(d.where(func(k policy.Key) bool {
		return k.Kind == kind && (namespace == "" || k.Namespace == namespace)
	}))
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(out, func(a, b *unstructured.Unstructured) int {
		ka, kb := KeyOf(a), KeyOf(b)
		if c := strings.Compare(ka.Namespace, kb.Namespace); c != 0 {
			return c
		}
		return strings.Compare(ka.Name, kb.Name)
	})
	return out, nil
}

// where finds resources by key, in the order of files. d.mu is held.
func (d *Dir) where(want func(policy.Key) bool) []policy.Resource {
	var out []policy.Resource
	for _, f := range d.files {
		for i := range f.resources {
			if want(f.resources[i].Key) {
				out = append(out, f.resources[i])
			}
		}
	}
	return out
}

// readObjects reads the objects that resources were decoded from, each file
// once.
func readObjects(found []policy.Resource) ([]*unstructured.Unstructured, error) {
	out := make([]*unstructured.Unstructured, 0, len(found))
	texts := map[string]*text{}
	for _, r := range found {
		t, ok := texts[r.Origin.File]
		if !ok {
			var err error
			if t, err = readText(r.Origin.File); err != nil {
				return nil, err
			}
			texts[r.Origin.File] = t
		}
		f := t.find(r.Key)
		if f == nil {
			return nil, fmt.Errorf("%s: %w: it can't be read any more in %s", r.Key, ErrConflict, r.Origin.File)
		}
		u := f.object.DeepCopy()
		u.SetResourceVersion(f.version())
		out = append(out, u)
	}
	return out, nil
}
