package cmd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cli"
	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// readManifests reads the resources of files, directories (recursive: and
// theirs) and - for standard input, as -f takes them. All faults of all files
// are told at once; nothing found is an error too.
func readManifests(in io.Reader, paths []string, recursive bool) ([]*unstructured.Unstructured, error) {
	objects, _, err := readManifestsAnd(in, paths, recursive)
	return objects, err
}

// readManifestsAnd also returns the warnings.
func readManifestsAnd(in io.Reader, paths []string, recursive bool) (out []*unstructured.Unstructured, warnings policy.Faults, err error) {
	var all policy.Faults
	for _, path := range paths {
		files, err := manifestFiles(path, recursive)
		if err != nil {
			return nil, nil, err
		}
		for _, file := range files {
			data, err := readManifest(in, file)
			if err != nil {
				return nil, nil, err
			}
			name := file
			if file == "-" {
				name = "standard input"
			}
			_, faults := policy.Decode(name, data)
			all = append(all, faults...)
			out = append(out, cluster.Objects(data)...)
		}
	}
	if err := cli.FaultsError(all); err != nil {
		var e *cli.Error
		if errors.As(err, &e) {
			e.Try = "correct it; netpol apply --dry-run -f " + strings.Join(paths, " -f ") + " only checks"
		}
		return nil, nil, err
	}
	if len(out) == 0 {
		return nil, nil, noResources(paths, recursive)
	}
	return out, all, nil
}

// noResources is the error for manifests with nothing in them.
func noResources(paths []string, recursive bool) error {
	e := &cli.Error{Try: "netpol get policies -A -o yaml, which prints manifests"}
	var names []string
	for _, path := range paths {
		if info, err := os.Stat(path); path != "-" && err == nil && info.IsDir() && !recursive {
			e.Try = "-R looks into directories within directories"
		}
		if path == "-" {
			path = "standard input"
		}
		names = append(names, path)
	}
	e.What = "no resources in " + strings.Join(names, ", ")
	return e
}

func readManifest(in io.Reader, file string) ([]byte, error) {
	if file == "-" {
		data, err := io.ReadAll(in)
		if err != nil {
			return nil, &cli.Error{What: "standard input can't be read: " + err.Error(), Err: err}
		}
		return data, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, &cli.Error{What: "a manifest can't be read: " + err.Error(), Err: err}
	}
	return data, nil
}

// manifestFiles are the files that one -f means.
func manifestFiles(path string, recursive bool) ([]string, error) {
	if path == "-" {
		return []string{path}, nil
	}
	if strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://") {
		return nil, &cli.Error{What: "-f takes files and directories, not URLs: " + path, Try: "curl -fsS " + path + " | netpol … -f -"}
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &cli.Error{What: fmt.Sprintf("no file or directory %s", path), Try: "ls " + filepath.Dir(path), Err: err}
	}
	if err != nil {
		return nil, &cli.Error{What: err.Error(), Err: err}
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var out []string
	err = filepath.WalkDir(path, func(p string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && p != path && (!recursive || strings.HasPrefix(e.Name(), ".")):
			return fs.SkipDir
		case !e.IsDir() && cluster.IsManifest(e.Name()):
			out = append(out, p)
		}
		return nil
	})
	if err != nil {
		return nil, &cli.Error{What: err.Error(), Err: err}
	}
	slices.Sort(out)
	return out, nil
}
