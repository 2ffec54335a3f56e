package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
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

// paths are the manifests that there are, sorted.
func (d *Dir) paths() (paths []string, err error) {
	if d.only != "" {
		_, err := os.Stat(d.only)
		switch {
		case err == nil:
			return []string{d.only}, nil
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil
		}
		return nil, fmt.Errorf("file of manifests: %w", err)
	}
	err = walk(d.root, func(path string, isDir bool) {
		if !isDir {
			paths = append(paths, path)
		}
	})
	slices.Sort(paths)
	return paths, err
}

// rescan looks at every file and reads those that changed. d.mu is held (or d
// is not shared yet).
func (d *Dir) rescan() error {
	paths, err := d.paths()
	if err != nil {
		return err
	}
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

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stampFrom(info), nil
}
