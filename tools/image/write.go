package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// Write writes an index as the tar of an OCI image layout, which ctr, nerdctl,
// podman, skopeo, kind and docker load. name is the image's name with its tag;
// containerd takes it from an annotation of its own.
func Write(index v1.ImageIndex, name, path string) (err error) {
	dir, err := os.MkdirTemp("", "netpol-image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	tag, err := tagOf(name)
	if err != nil {
		return err
	}
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := l.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": tag,
		"io.containerd.image.name":          name,
	})); err != nil {
		return err
	}
	files, err := read(dir)
	if err != nil {
		return err
	}
	data, err := pack(files, time.Unix(0, 0).UTC())
	if err != nil {
		return err
	}
	return replace(path, data)
}

// tagOf is the tag at the end of an image's name.
func tagOf(name string) (string, error) {
	last := name[strings.LastIndex(name, "/")+1:]
	_, tag, ok := strings.Cut(last, ":")
	if !ok || tag == "" || strings.Contains(name, "@") {
		return "", fmt.Errorf("image name %q: expected NAME:TAG", name)
	}
	return tag, nil
}

// read is everything below a directory, in lexical order.
func read(dir string) ([]file, error) {
	var out []file
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		out = append(out, file{name: filepath.ToSlash(name), mode: 0o644, data: data})
		return err
	})
	return out, err
}

// replace writes a file whole or not at all.
func replace(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	next := path + ".tmp"
	if err := os.WriteFile(next, data, 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}
