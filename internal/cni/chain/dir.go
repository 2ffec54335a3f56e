package chain

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoNetwork says that a directory has no network configuration (yet).
var ErrNoNetwork = errors.New("the node has no network configuration yet")

// errChanged says that somebody wrote a file at the same moment.
var errChanged = errors.New("it was changed at the same moment")

// Configurations of one plugin can't be chained, so a list takes their place:
// x.conf is kept as x.conf.netpol, and x.conf-netpol.conflist comes where it was
// in the order of names.
const (
	wrapped = "-netpol.conflist"
	kept    = ".netpol"
)

// Dir is a directory of network configurations, such as /etc/cni/net.d. A
// container runtime takes the first that it can read, by name.
type Dir struct{ Path string }

// file is a configuration.
type file struct {
	name string
	data []byte
	info fs.FileInfo
	// list: it is a list; else a configuration of one plugin.
	list bool
	// fault is why it can't be read as such.
	fault error
}

// wrapper says that a file is a list that Put made of a configuration, and of
// which.
func (f *file) wrapper() (original string, ok bool) { return strings.CutSuffix(f.name, wrapped) }

// read gives all configurations in their order.
func (d Dir) read() ([]*file, error) {
	entries, err := os.ReadDir(d.Path) // sorted by name
	if err != nil {
		return nil, err
	}
	var out []*file
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || !slices.Contains([]string{".conf", ".conflist", ".json"}, ext) {
			continue
		}
		f, err := d.open(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func (d Dir) open(name string) (*file, error) {
	path := filepath.Join(d.Path, name)
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	f := &file{name: name, info: info, list: filepath.Ext(name) == ".conflist"}
	if !info.Mode().IsRegular() {
		f.fault = errors.New("no regular file; what it leads to is not changed")
		return f, nil
	}
	if f.data, err = os.ReadFile(path); err != nil {
		return nil, err
	}
	if f.list {
		_, _, f.fault = pluginsOf(f.data)
	} else {
		_, f.fault = listOf(f.data)
	}
	return f, nil
}

// active is the configuration that a container runtime takes; nil if none.
func active(files []*file) *file {
	for _, f := range files {
		if f.fault == nil {
			return f
		}
	}
	return nil
}

// Put makes entry the last plugin of the node's network, and takes it out of
// every configuration that is not the node's any more. It gives the name of the
// file, and whether anything had to be changed.
func (d Dir) Put(entry []byte) (name string, changed bool, err error) {
	files, err := d.read()
	if err != nil {
		return "", false, err
	}
	if err := sweep(d.Path); err != nil {
		return "", false, err
	}
	now := active(files)
	if now == nil {
		return "", false, errors.Join(append([]error{ErrNoNetwork}, faults(files)...)...)
	}
	if now.list {
		name = now.name
		changed, err = d.extend(now, entry)
	} else {
		name, changed = now.name+wrapped, true
		err = d.wrap(now, entry)
	}
	if err != nil {
		return name, false, fmt.Errorf("%s: %w", now.name, err)
	}
	for _, f := range files {
		if f.name == name || f == now {
			continue
		}
		took, err := d.takeFrom(f, typeOf(entry))
		if err != nil {
			return name, changed, fmt.Errorf("%s: %w", f.name, err)
		}
		changed = changed || took
	}
	return name, changed, nil
}

// faults are why configurations can't be read.
func faults(files []*file) (out []error) {
	for _, f := range files {
		if f.fault != nil {
			out = append(out, fmt.Errorf("%s: %w", f.name, f.fault))
		}
	}
	return out
}

func (d Dir) extend(f *file, entry []byte) (changed bool, err error) {
	next, err := with(f.data, entry)
	if err != nil || bytes.Equal(next, f.data) {
		return false, err
	}
	return true, d.replace(f, next)
}

// replace writes a file anew, unless somebody else has meanwhile.
func (d Dir) replace(f *file, next []byte) error {
	return write(filepath.Join(d.Path, f.name), bytes.NewReader(next), f.info, func() error { return d.unchanged(f) })
}

func (d Dir) unchanged(f *file) error {
	now, err := os.ReadFile(filepath.Join(d.Path, f.name))
	if err == nil && bytes.Equal(now, f.data) {
		return nil
	}
	return errors.Join(errChanged, err)
}

// wrap has a list take the place of a configuration of one plugin.
func (d Dir) wrap(f *file, entry []byte) error {
	list, err := listOf(f.data)
	if err != nil {
		return err
	}
	if list, err = with(list, entry); err != nil {
		return err
	}
	path := filepath.Join(d.Path, f.name)
	if err := write(path+wrapped, bytes.NewReader(list), f.info, func() error { return d.unchanged(f) }); err != nil {
		return err
	}
	return rename(path, path+kept)
}

// Take takes the plugins of a type out of all configurations. It gives the names
// of the files that had some. After an error some may be left.
func (d Dir) Take(kind string) (names []string, err error) {
	files, err := d.read()
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	var errs []error
	for _, f := range files {
		took, err := d.takeFrom(f, kind)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", filepath.Join(d.Path, f.name), err))
		}
		if took {
			names = append(names, f.name)
		}
	}
	return names, errors.Join(append(errs, sweep(d.Path))...)
}

func (d Dir) takeFrom(f *file, kind string) (bool, error) {
	if original, ok := f.wrapper(); ok {
		err := d.unwrap(original)
		if !errors.Is(err, fs.ErrNotExist) {
			return true, err
		}
		// The original is lost: what there is goes on without us.
	}
	if f.fault != nil {
		// What can't be read is not ours, if it does not even mention us.
		if bytes.Contains(f.data, []byte(`"`+kind+`"`)) {
			return false, f.fault
		}
		return false, nil
	}
	if !f.list {
		return false, nil
	}
	next, err := without(f.data, kind)
	if err != nil || bytes.Equal(next, f.data) {
		return false, err
	}
	return true, d.replace(f, next)
}

// unwrap puts a configuration back. One that is there again is newer.
func (d Dir) unwrap(original string) error {
	path := filepath.Join(d.Path, original)
	_, err := os.Lstat(path)
	switch {
	case err == nil:
		err = remove(path + kept)
	case errors.Is(err, fs.ErrNotExist):
		err = rename(path+kept, path)
	}
	if err != nil {
		return err
	}
	return remove(path + wrapped)
}

// Has says whether the node's network ends with entry, and in which file.
func (d Dir) Has(kind string) (name string, err error) {
	files, err := d.read()
	if err != nil {
		return "", err
	}
	now := active(files)
	if now == nil {
		return "", errors.Join(append([]error{ErrNoNetwork}, faults(files)...)...)
	}
	if now.list {
		elements, _, err := pluginsOf(now.data)
		if err == nil && len(entries(now.data, elements, kind)) > 0 {
			return now.name, nil
		}
	}
	return "", fmt.Errorf("%s does not name the plugin", now.name)
}
