package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

// stamp tells whether a file is still the one that was read.
type stamp struct {
	mtime time.Time
	size  int64
	inode uint64
}

// IsManifest says whether a file's name is one that kubectl would read, and
// not a temporary file of ours or of an editor.
func IsManifest(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "#") || strings.HasSuffix(name, "~") {
		return false
	}
	switch filepath.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// isHidden says whether a directory is none of the user's manifests (.git).
func isHidden(name string) bool { return strings.HasPrefix(name, ".") }

// walk calls each for every directory and every manifest below dir, dir
// included. What vanishes meanwhile is passed over.
func walk(dir string, each func(path string, isDir bool)) error {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != dir:
			return nil
		case err != nil:
			return err
		case e.IsDir() && path != dir && isHidden(e.Name()):
			return fs.SkipDir
		case e.IsDir():
			each(path, true)
		case IsManifest(e.Name()):
			each(path, false)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("directory of manifests: %w", err)
	}
	return nil
}

// rescan looks at every file and reads those that changed. d.mu is held (or d
// is not shared yet).
func (d *Dir) rescan() error {
	var paths []string
	if err := walk(d.root, func(path string, isDir bool) {
		if !isDir {
			paths = append(paths, path)
		}
	}); err != nil {
		return err
	}
	slices.Sort(paths)
	known := d.files
	files := make([]*file, 0, len(paths))
	var read []int
	for _, p := range paths {
		for len(known) > 0 && known[0].path < p {
			known = known[1:]
			d.stale, d.flatOK = true, false // gone
		}
		old := &file{path: p}
		if len(known) > 0 && known[0].path == p {
			old, known = known[0], known[1:]
		}
		if now, err := stampOf(p); err == nil && now == old.stamp {
			files = append(files, old)
			continue
		}
		read = append(read, len(files))
		files = append(files, old)
	}
	if len(known) > 0 {
		d.stale, d.flatOK = true, false
	}
	d.readAll(files, read)
	d.files = slices.DeleteFunc(files, func(f *file) bool { return f == nil })
	return nil
}

// readAll reads the files at the given indexes, several at a time.
func (d *Dir) readAll(files []*file, at []int) {
	if len(at) == 0 {
		return
	}
	d.stale, d.flatOK = true, false
	var wg sync.WaitGroup
	next := make(chan int, len(at))
	for _, i := range at {
		next <- i
	}
	close(next)
	for range min(len(at), runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := range next {
				files[i] = d.read(files[i])
			}
		})
	}
	wg.Wait()
}

// read reads a file anew; nil if it is gone. What can't be read is a fault,
// not an error: one bad file must not hide the others.
func (d *Dir) read(old *file) *file {
	f := &file{path: old.path}
	data, st, err := readFile(old.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		f.faults = policy.Faults{{Origin: policy.Origin{File: old.path}, Reason: "it can't be read: " + err.Error()}}
	default:
		f.stamp = st
		f.resources, f.faults = d.decode(old.path, data)
	}
	f.keep(old)
	return f
}

// keep takes over the policies that the file had before and that are gone now
// that part of it can't be parsed: a slip in an editor must not open what a
// policy closes. The fault says that the file is not what is in force.
func (f *file) keep(old *file) {
	if !slices.ContainsFunc(f.faults, func(x policy.Fault) bool { return x.Key.Kind == "" }) {
		return
	}
	for _, r := range old.resources {
		_, isPolicy := r.Value.(*policy.Policy)
		gone := !slices.ContainsFunc(f.resources, func(n policy.Resource) bool { return n.Key == r.Key })
		if isPolicy && !r.Key.Kind.Staged() && gone {
			f.resources = append(f.resources, r)
		}
	}
}

// readFile reads a file and its stamp at that moment.
func readFile(path string) ([]byte, stamp, error) {
	h, err := os.Open(path)
	if err != nil {
		return nil, stamp{}, err
	}
	defer h.Close()
	info, err := h.Stat()
	if err != nil {
		return nil, stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, stamp{}, fmt.Errorf("%s is not a regular file", path)
	}
	data := make([]byte, 0, info.Size()+1)
	buf := bytes.NewBuffer(data)
	if _, err := io.Copy(buf, h); err != nil {
		return nil, stamp{}, err
	}
	return buf.Bytes(), stampFrom(info), nil
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stampFrom(info), nil
}

// large is the size in bytes from which a file is decoded in parts at once.
const large = 256 << 10

// decode decodes a file, a large one by several goroutines.
func (d *Dir) decode(path string, data []byte) ([]policy.Resource, policy.Faults) {
	n := min(runtime.GOMAXPROCS(0), len(data)/large+1)
	if n == 1 {
		return d.dec.Decode(path, data)
	}
	parts := cutParts(data, n)
	resources := make([][]policy.Resource, len(parts))
	faults := make([]policy.Faults, len(parts))
	var wg sync.WaitGroup
	for i, p := range parts {
		wg.Go(func() {
			// Blank lines in front keep the numbers of the lines.
			padded := append(bytes.Repeat([]byte("\n"), p.line), data[p.start:p.end]...)
			resources[i], faults[i] = d.dec.Decode(path, padded)
		})
	}
	wg.Wait()
	return slices.Concat(resources...), slices.Concat(faults...)
}

// part is a run of documents: its bytes, and the number of lines before it.
type part struct{ start, end, line int }

// cutParts cuts a file into about n parts between documents.
func cutParts(data []byte, n int) []part {
	var out []part
	cur := part{}
	for _, r := range splitDocuments(data) {
		if r.start-cur.start > len(data)/n {
			cur.end = r.start
			out = append(out, cur)
			cur = part{start: r.start, line: cur.line + bytes.Count(data[cur.start:r.start], []byte("\n"))}
		}
	}
	cur.end = len(data)
	return append(out, cur)
}
