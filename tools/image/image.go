package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// User is whom the program runs as where nothing else is said: nobody that any
// distribution knows, so that runAsNonRoot holds. The agent's pod asks for root,
// which manifests say the reason of.
const User = "65532:65532"

// Spec says what goes into an image.
type Spec struct {
	// Binaries are the program's files by platform.
	Binaries []Binary
	Created  time.Time
	Labels   map[string]string
}

// Binary is the program for one platform.
type Binary struct {
	Platform v1.Platform
	Path     string
}

// Build is the image of every platform under one index. The image holds the
// program and nothing else: no shell, no certificates (a pod gets those of its
// cluster from Kubernetes, and netpol speaks to nobody else).
func Build(s Spec) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, b := range s.Binaries {
		img, err := one(s, b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Platform, err)
		}
		platform := b.Platform
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: img, Descriptor: v1.Descriptor{Platform: &platform},
		})
	}
	annotated, ok := mutate.Annotations(index, s.Labels).(v1.ImageIndex)
	if !ok {
		return nil, fmt.Errorf("annotations made something else of an index")
	}
	return annotated, nil
}

func one(s Spec, b Binary) (v1.Image, error) {
	data, err := os.ReadFile(b.Path)
	if err != nil {
		return nil, err
	}
	files, err := pack([]file{{name: "netpol", mode: 0o755, data: data}}, s.Created)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(
		func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.Append(img, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: s.Created}, CreatedBy: "make image"},
	})
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = b.Platform.OS, b.Platform.Architecture, b.Platform.Variant
	config.Created = v1.Time{Time: s.Created}
	config.Config = v1.Config{
		Entrypoint: []string{"/netpol"}, Env: []string{"PATH=/"}, WorkingDir: "/", User: User, Labels: s.Labels,
	}
	return mutate.ConfigFile(img, config)
}

type file struct {
	name string
	mode int64
	data []byte
}

// pack is a tar of files in this order, the same whoever makes it and when.
func pack(files []file, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: at, Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
