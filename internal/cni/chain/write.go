package chain

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// unfinished begins the names of files that are being written. No container
// runtime reads them: they end in none of the ways that it looks for.
const unfinished = ".netpol-unfinished-"

// write gives a file a content at once: who reads it gets the old one or the
// new one, also after a power cut. Mode and owner stay those of like, if there
// is such a file. still, if it is not nil, is asked before the file gets its
// name.
func write(path string, content io.Reader, like fs.FileInfo, still func() error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, unfinished)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	if err := f.Chmod(like.Mode().Perm()); err != nil {
		return err
	}
	if owner, ok := like.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Geteuid() {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return fmt.Errorf("%s is not ours to write: %w", path, err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if still != nil {
		if err := still(); err != nil {
			return err
		}
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// rename renames a file of a directory, for good.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return syncDir(filepath.Dir(to))
}

// remove removes a file, for good; none is well too.
func remove(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return syncDir(filepath.Dir(path))
}

// sweep removes what writers that were killed have left.
func sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished) {
			if err := remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// Program puts a program into a directory under a name, and says whether it
// was not there as it is.
func Program(from, dir, name string) (changed bool, err error) {
	if err := sweep(dir); err != nil {
		return false, err
	}
	source, err := os.Open(from)
	if err != nil {
		return false, err
	}
	defer source.Close()
	to := filepath.Join(dir, name)
	if is, err := equal(source, to); err != nil || is {
		return false, err
	}
	if _, err := source.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	return true, write(to, source, executable{}, nil)
}

// RemoveProgram removes it.
func RemoveProgram(dir, name string) error {
	if err := sweep(dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return remove(filepath.Join(dir, name))
}

// executable is the mode of a program.
type executable struct{ fs.FileInfo }

func (executable) Mode() fs.FileMode { return 0o755 }
func (executable) Sys() any          { return nil }

// equal says whether a file at path is executable and has the same bytes.
func equal(source *os.File, path string) (bool, error) {
	have, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	want, werr := source.Stat()
	if err := errors.Join(err, werr); err != nil {
		return false, err
	}
	if !have.Mode().IsRegular() || have.Mode().Perm() != 0o755 || have.Size() != want.Size() {
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	a, b := make([]byte, 1<<16), make([]byte, 1<<16)
	for {
		n, err := io.ReadFull(source, a)
		m, other := io.ReadFull(f, b)
		if !bytes.Equal(a[:n], b[:m]) {
			return false, nil
		}
		if err != nil || other != nil {
			return ended(err) && ended(other), errors.Join(real(err), real(other))
		}
	}
}

func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// real is an error that is not the end of a file.
func real(err error) error {
	if ended(err) {
		return nil
	}
	return err
}
