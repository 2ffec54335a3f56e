package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/netpol-project/netpol/internal/lab/plan"
)

// Gather reads manifests: files, directories (their .yaml, .yml and .json
// files; with recursive those of their directories too), or - for in.
func Gather(paths []string, recursive bool, in io.Reader) ([]plan.File, error) {
	g := &gatherer{recursive: recursive, taken: map[string]bool{"cluster": true}}
	var errs []error
	for _, p := range paths {
		errs = append(errs, g.add(p, in))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if len(g.files) == 0 {
		return nil, fmt.Errorf("no manifests in %s: expected files that end in .yaml, .yml or .json", strings.Join(paths, ", "))
	}
	return g.files, nil
}

type gatherer struct {
	recursive bool
	taken     map[string]bool // names at the top of the lab's directory
	files     []plan.File
}

func (g *gatherer) add(p string, in io.Reader) error {
	if p == "-" {
		data, err := io.ReadAll(in)
		if err != nil {
			return fmt.Errorf("read standard input: %w", err)
		}
		g.files = append(g.files, plan.File{Name: g.free("stdin.yaml"), Given: "standard input", Data: data})
		return nil
	}
	info, err := os.Stat(p)
	if err != nil {
		return err
	}
	abs, err := filepath.Abs(p)
	if err != nil {
		return err
	}
	top := g.free(filepath.Base(abs))
	if !info.IsDir() {
		return g.read(p, top)
	}
	return filepath.WalkDir(p, func(file string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && file != p && !g.recursive:
			return fs.SkipDir
		case e.IsDir() || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)):
			return nil
		}
		rel, err := filepath.Rel(p, file)
		if err != nil {
			return err
		}
		return g.read(file, path.Join(top, filepath.ToSlash(rel)))
	})
}

func (g *gatherer) read(file, name string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	g.files = append(g.files, plan.File{Name: name, Given: file, Data: data})
	return nil
}

// free is a name that nothing in the lab's directory has.
func (g *gatherer) free(name string) string {
	out := name
	for i := 2; g.taken[out]; i++ {
		ext := filepath.Ext(name)
		out = strings.TrimSuffix(name, ext) + "-" + strconv.Itoa(i) + ext
	}
	g.taken[out] = true
	return out
}

// tail is the end of a log, at most lines lines; empty if there is none.
func tail(file string, lines int) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
