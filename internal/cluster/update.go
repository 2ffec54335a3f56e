package cluster

import (
	"path/filepath"
	"slices"
	"strings"
)

// at finds a file by path. d.mu is held.
func (d *Dir) at(path string) (*file, bool) {
	i, ok := d.index(path)
	if !ok {
		return nil, false
	}
	return d.files[i], true
}

func (d *Dir) index(path string) (int, bool) {
	return slices.BinarySearchFunc(d.files, path, func(f *file, p string) int { return strings.Compare(f.path, p) })
}

// update reads the files at some paths anew, without looking at any other. A
// path that is gone takes with it what was below it. d.mu is held.
func (d *Dir) update(paths []string) {
	for _, p := range paths {
		i, known := d.index(p)
		old := &file{path: p}
		if known {
			old = d.files[i]
		}
		var now *file
		if IsManifest(filepath.Base(p)) {
			now = d.read(old)
		}
		switch {
		case now != nil && known:
			d.files[i], d.stale = now, true
			if d.flatOK && len(now.resources) == len(old.resources) && len(now.faults)+len(old.faults) == 0 {
				now.from = old.from
				copy(d.flat[now.from:], now.resources)
			} else {
				d.flatOK = false
			}
		case now != nil:
			d.files, d.stale, d.flatOK = slices.Insert(d.files, i, now), true, false
		default:
			d.drop(p)
		}
	}
}

// drop forgets a file, or what was below a directory. d.mu is held.
func (d *Dir) drop(path string) {
	before := len(d.files)
	d.files = slices.DeleteFunc(d.files, func(f *file) bool {
		return f.path == path || strings.HasPrefix(f.path, path+string(filepath.Separator))
	})
	if len(d.files) != before {
		d.stale, d.flatOK = true, false
	}
}
