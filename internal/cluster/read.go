package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/netpol-project/netpol/pkg/policy"
)

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
