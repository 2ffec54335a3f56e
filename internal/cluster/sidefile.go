package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// SideFile reads a file beside the manifests: its name begins with a dot, so it
// is none of them. No data and no error where there is no such file.
func (d *Dir) SideFile(name string) ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(d.root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", name, err)
	}
	return data, nil
}

// EditSideFile changes a file beside the manifests in one step, under the lock
// that other processes honour. edit is given what the file has, and makes what it
// is to have.
func (d *Dir) EditSideFile(name string, edit func([]byte) ([]byte, error)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	unlock, err := d.lock(false)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := d.SideFile(name)
	if err != nil {
		return err
	}
	data, err := edit(old)
	if err != nil {
		return err
	}
	temp, err := writeAside(d.root, data, 0o644)
	if err != nil {
		return err
	}
	path := filepath.Join(d.root, name)
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(fmt.Errorf("%s can't be changed: %w", path, err), os.Remove(temp))
	}
	return syncDirs(map[string]bool{d.root: true})
}
