package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

const name = "ghcr.io/netpol-project/netpol:v9.9.9"

// made is the tar of an image of two stand-ins for the program.
func made(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-name", name, "-o", filepath.Join(dir, "image.tar"), "-revision", "abc", "-created", "1700000000"}
	for _, arch := range []string{"amd64", "arm64"} {
		path := filepath.Join(dir, arch)
		if err := os.WriteFile(path, []byte("program for "+arch), 0o755); err != nil {
			t.Fatal(err)
		}
		args = append(args, "linux/"+arch+"="+path)
	}
	if err := run(args); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "image.tar")
}

// opened unpacks a layout and gives the one index in it, with its descriptor.
func opened(t *testing.T, path string) (v1.ImageIndex, v1.Descriptor) {
	t.Helper()
	dir := t.TempDir()
	for _, f := range entries(t, path) {
		to := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, f.data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := root.IndexManifest()
	if err != nil || len(m.Manifests) != 1 {
		t.Fatalf("%v, %d images", err, len(m.Manifests))
	}
	index, err := root.ImageIndex(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Fatal(err)
	}
	return index, m.Manifests[0]
}

func entries(t *testing.T, path string) []file {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return untar(t, bytes.NewReader(data))
}

func untar(t *testing.T, r io.Reader) (out []file) {
	t.Helper()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" {
			t.Errorf("%s belongs to %d:%d %s", h.Name, h.Uid, h.Gid, h.Uname)
		}
		out = append(out, file{name: h.Name, mode: h.Mode, data: data})
	}
}

// images are those of an index by platform.
func images(t *testing.T, index v1.ImageIndex) map[string]v1.Image {
	t.Helper()
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]v1.Image{}
	for _, d := range m.Manifests {
		img, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		c, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if d.Platform == nil || d.Platform.OS != c.OS || d.Platform.Architecture != c.Architecture {
			t.Errorf("index says %v, image %s/%s", d.Platform, c.OS, c.Architecture)
		}
		out[c.OS+"/"+c.Architecture] = img
	}
	return out
}

// program is the one file of an image.
func program(t *testing.T, img v1.Image) file {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%v, %d layers", err, len(layers))
	}
	r, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	files := untar(t, r)
	if len(files) != 1 || files[0].name != "netpol" || files[0].mode != 0o755 {
		t.Fatalf("%d files, the first %s %o", len(files), files[0].name, files[0].mode)
	}
	return files[0]
}

func TestBothPlatforms(t *testing.T) {
	index, d := opened(t, made(t))
	if d.Annotations["io.containerd.image.name"] != name || d.Annotations["org.opencontainers.image.ref.name"] != "v9.9.9" {
		t.Errorf("names %v", d.Annotations)
	}
	all := images(t, index)
	for _, arch := range []string{"amd64", "arm64"} {
		img := all["linux/"+arch]
		if img == nil {
			t.Fatalf("no image for %s", arch)
		}
		c, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(c.Config.Entrypoint, []string{"/netpol"}) || c.Config.User != User || len(c.Config.Cmd) > 0 {
			t.Errorf("%+v", c.Config)
		}
		for label, want := range map[string]string{"version": "v9.9.9", "revision": "abc", "title": "netpol", "licenses": "Apache-2.0"} {
			if got := c.Config.Labels["org.opencontainers.image."+label]; got != want {
				t.Errorf("label %s is %q", label, got)
			}
		}
		if c.Created.Unix() != 1700000000 {
			t.Errorf("created %v", c.Created)
		}
		if f := program(t, img); string(f.data) != "program for "+arch {
			t.Errorf("%s holds %q", arch, f.data)
		}
	}
	if len(all) != 2 {
		t.Errorf("%d images", len(all))
	}
}

func TestSameInputSameImage(t *testing.T) {
	a, b := entries(t, made(t)), entries(t, made(t))
	if len(a) != len(b) {
		t.Fatalf("%d and %d files", len(a), len(b))
	}
	for i := range a {
		if a[i].name != b[i].name || !bytes.Equal(a[i].data, b[i].data) {
			t.Errorf("%s and %s differ", a[i].name, b[i].name)
		}
	}
}

func TestWhatIsRefused(t *testing.T) {
	for args, says := range map[string]string{
		"":                             "usage",
		"-name x -o y linux/amd64=z":   "NAME:TAG",
		"-name x:1 -o y linux/amd64":   "OS/ARCHITECTURE",
		"-name x:1 -o y linux=/none":   "OS/ARCHITECTURE",
		"-name x:1 -o y linux/s390x=z": "no such file",
	} {
		if err := run(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// The image that make image has made, if $NETPOL_IMAGE names it: its program
// for this machine runs.
func TestShipped(t *testing.T) {
	path := os.Getenv("NETPOL_IMAGE")
	if path == "" {
		t.Skip("$NETPOL_IMAGE is not set (make deploy-check sets it)")
	}
	index, _ := opened(t, path)
	all := images(t, index)
	if all["linux/amd64"] == nil || all["linux/arm64"] == nil || len(all) != 2 {
		t.Fatalf("images of %d platforms", len(all))
	}
	img := all["linux/"+runtime.GOARCH]
	if img == nil || runtime.GOOS != "linux" {
		t.Skip("no program for this machine")
	}
	exe := filepath.Join(t.TempDir(), "netpol")
	if err := os.WriteFile(exe, program(t, img).data, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(exe, "version", "-o", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Kind, Version string }
	if err := json.Unmarshal(out, &v); err != nil || v.Kind != "Version" || v.Version == "" {
		t.Errorf("%v: %s", err, out)
	}
}
