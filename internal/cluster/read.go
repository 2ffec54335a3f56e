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
	case errors.Is(err, fs.ErrNotExist) && !isLink(old.path):
		return nil
	case err != nil:
		f.fault(policy.CodeUnreadable, "it can't be read: "+err.Error())
	default:
		f.stamp = st
		f.resources, f.faults = d.decode(old.path, data)
		if len(bytes.TrimSpace(data)) == 0 && slices.ContainsFunc(old.resources, enforced) {
			// A shell empties a file long before the command has its output.
			f.fault(policy.CodeEmptyFile, "it is empty; what was in it stays in force until it is removed or written")
		}
	}
	f.keep(old)
	return f
}

func (f *file) fault(code, reason string) {
	f.faults = append(f.faults, policy.Fault{Code: code, Origin: policy.Origin{File: f.path}, Reason: reason})
}

// isLink: a link to nothing is not a file that was removed.
func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// enforced says whether a verdict in force may depend on a resource.
func enforced(r policy.Resource) bool { return r.Value != nil && !r.Key.Kind.Staged() }

// keep takes over what the file had before and what is gone now that part of
// it can't be understood: a slip in an editor must not open what a policy
// closes, nor a namespace's labels vanish by which policies select. Where it
// can't be told what a part is, that is all that is gone; where only its kind,
// or all but its name, is at fault, what had this name before. The faults say
// that the file is not what is in force.
func (f *file) keep(old *file) {
	errs := f.faults.Errors()
	if len(errs) == 0 {
		return
	}
	unknown := slices.ContainsFunc(errs, func(x policy.Fault) bool { return x.Key.Kind == "" })
	for _, r := range old.resources {
		same := func(n policy.Resource) bool { return n.Key == r.Key }
		spoilt := func(n policy.Resource) bool {
			return n.Value == nil && n.Key.Name == r.Key.Name && n.Key.Namespace == r.Key.Namespace && atFault(errs, n.Key)
		}
		i := slices.IndexFunc(f.resources, same)
		switch {
		case !enforced(r):
		case i >= 0 && (f.resources[i].Value == nil || isPeer(r) && atFault(errs, r.Key)):
			f.resources[i] = r
		case i < 0 && (unknown || slices.ContainsFunc(f.resources, spoilt)):
			f.resources = append(f.resources, r)
		}
	}
}

// isPeer says whether rules match a resource by the addresses or ports that it
// lists.
// Some rules allow and some deny by them, so that neither a longer nor a
// shorter list is the safe one: what was last understood whole is.
func isPeer(r policy.Resource) bool {
	switch r.Value.(type) {
	case *policy.NetworkSet, *policy.HostEndpoint, *policy.Service, *policy.Slice:
		return true
	}
	return false
}

func atFault(errs policy.Faults, key policy.Key) bool {
	return slices.ContainsFunc(errs, func(x policy.Fault) bool { return x.Key == key })
}

// readFile reads a file and its stamp at that moment.
func readFile(path string) ([]byte, stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, stamp{}, err
	}
	if !info.Mode().IsRegular() { // to open a pipe would wait for its writer
		return nil, stamp{}, fmt.Errorf("%s is not a regular file", path)
	}
	h, err := os.Open(path)
	if err != nil {
		return nil, stamp{}, err
	}
	defer h.Close()
	if info, err = h.Stat(); err != nil {
		return nil, stamp{}, err
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
