package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"
)

// pending is a file that is written beside its place and not yet in it.
type pending struct {
	text *text
	path string // where it really is: links are followed
	temp string // "" for a removal
	mode fs.FileMode
}

// write puts the texts in place: all are written aside first, so that most
// failures leave everything as it was. If a file can't be put in place after
// another was, the earlier ones are put back.
func (p *plan) write() (err error) {
	todo := make([]pending, len(p.order))
	defer func() {
		for _, w := range todo {
			if w.temp != "" {
				os.Remove(w.temp) // gone already where it was put in place
			}
		}
	}()
	// Most of the time goes into waiting for the disk, so many at once.
	var group errgroup.Group
	group.SetLimit(16)
	for i, path := range p.order {
		group.Go(func() (err error) {
			todo[i], err = prepare(p.texts[path])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	touched := map[string]bool{}
	for i, w := range todo {
		// What takes a removed one's place must be on the disk before it.
		if w.temp == "" {
			err = syncDirs(touched)
		}
		if err == nil {
			err = w.commit()
		}
		if err != nil {
			return errors.Join(err, putBack(todo[:i]))
		}
		touched[filepath.Dir(w.path)] = true
	}
	return syncDirs(touched)
}

// prepare writes a text aside. The name of the temporary file begins with a
// dot, so no reader takes it for a manifest.
func prepare(t *text) (pending, error) {
	w := pending{text: t, path: t.path, mode: 0o644}
	if real, err := filepath.EvalSymlinks(t.path); err == nil {
		w.path = real
	}
	if info, err := os.Stat(w.path); err == nil {
		w.mode = info.Mode().Perm()
	}
	if t.empty() {
		return w, nil
	}
	dir := filepath.Dir(w.path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return w, fmt.Errorf("a directory can't be made: %w", err)
	}
	var err error
	w.temp, err = writeAside(dir, t.bytes(), w.mode)
	return w, err
}

// writeAside makes a temporary file with data, on the disk for good.
func writeAside(dir string, data []byte, mode fs.FileMode) (name string, err error) {
	h, err := os.CreateTemp(dir, ".netpol-*.tmp")
	if err != nil {
		return "", fmt.Errorf("a file can't be written: %w", err)
	}
	_, err = h.Write(data)
	err = errors.Join(err, h.Chmod(mode), h.Sync(), h.Close())
	if err != nil {
		return "", errors.Join(fmt.Errorf("a file can't be written: %w", err), os.Remove(h.Name()))
	}
	return h.Name(), nil
}

// commit puts a prepared file in its place, unless somebody who does not know
// our lock (an editor) changed it since it was read.
func (w pending) commit() error {
	now, err := stampOf(w.path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case w.text.data == nil && err == nil:
		return fmt.Errorf("%s: %w: somebody made it meanwhile", w.path, ErrConflict)
	case w.text.data != nil && (err != nil || now != w.text.stamp):
		return fmt.Errorf("%s: %w: somebody changed it meanwhile", w.path, ErrConflict)
	case w.temp == "" && w.text.data == nil:
		return nil // made and removed by the same changes
	case w.temp == "":
		err = os.Remove(w.path)
	default:
		err = os.Rename(w.temp, w.path)
	}
	if err != nil {
		return fmt.Errorf("%s can't be changed: %w", w.path, err)
	}
	return nil
}

// putBack undoes commits, as far as that is possible.
func putBack(done []pending) error {
	var errs []error
	for _, w := range done {
		if w.text.data == nil {
			errs = append(errs, os.Remove(w.path))
			continue
		}
		temp, err := writeAside(filepath.Dir(w.path), w.text.data, w.mode)
		if err == nil {
			err = os.Rename(temp, w.path)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// syncDirs makes renames and removals in some directories last through a crash,
// and forgets the directories.
func syncDirs(paths map[string]bool) error {
	for path := range paths {
		delete(paths, path)
		h, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		err = h.Sync()
		h.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}
