package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// plugin is a manifest as krew's plugin specification has it.
type plugin struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string     `json:"version"`
		ShortDescription string     `json:"shortDescription"`
		Description      string     `json:"description"`
		Caveats          string     `json:"caveats"`
		Homepage         string     `json:"homepage"`
		Platforms        []platform `json:"platforms"`
	} `json:"spec"`
}

type platform struct {
	URI      string `json:"uri"`
	SHA256   string `json:"sha256"`
	Selector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
	Files []struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"files"`
	Bin string `json:"bin"`
}

// check holds a manifest, and the archives beside it, to the specification.
func check(t *testing.T, dir, release string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "netpol.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var p plugin
	if err := yaml.UnmarshalStrict(data, &p); err != nil {
		t.Fatalf("%v in\n%s", err, data)
	}
	if p.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || p.Kind != "Plugin" || p.Metadata.Name != "netpol" {
		t.Errorf("%s %s %s", p.APIVersion, p.Kind, p.Metadata.Name)
	}
	s := p.Spec
	if s.Version != release || !version.MatchString(s.Version) {
		t.Errorf("version %q", s.Version)
	}
	// What krew's naming guide asks of the index.
	if s.ShortDescription == "" || len(s.ShortDescription) > 50 || strings.ContainsAny(s.ShortDescription, "\r\n") || strings.HasSuffix(s.ShortDescription, ".") {
		t.Errorf("shortDescription %q", s.ShortDescription)
	}
	for line := range strings.Lines(s.Description + s.Caveats) {
		if len(line) > 82 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	if u, err := url.Parse(s.Homepage); err != nil || u.Scheme != "https" || s.Description == "" {
		t.Errorf("homepage %q or no description", s.Homepage)
	}
	seen := map[string]bool{}
	for _, pl := range s.Platforms {
		checkPlatform(t, dir, release, pl)
		seen[pl.Selector.MatchLabels["os"]+"/"+pl.Selector.MatchLabels["arch"]] = true
	}
	for _, want := range []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"} {
		if !seen[want] {
			t.Errorf("no archive for %s", want)
		}
	}
	if len(seen) != 4 || len(s.Platforms) != 4 {
		t.Errorf("%d platforms", len(s.Platforms))
	}
}

var digest = regexp.MustCompile(`^[a-f0-9]{64}$`)

func checkPlatform(t *testing.T, dir, release string, pl platform) {
	t.Helper()
	for key := range pl.Selector.MatchLabels {
		if key != "os" && key != "arch" {
			t.Errorf("selector %q", key)
		}
	}
	u, err := url.Parse(pl.URI)
	if err != nil || u.Scheme != "https" || u.Host == "" || !strings.Contains(u.Path, "/"+release+"/") {
		t.Fatalf("uri %q", pl.URI)
	}
	data, err := os.ReadFile(filepath.Join(dir, filepath.Base(u.Path)))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%x", sha256.Sum256(data)); !digest.MatchString(pl.SHA256) || got != pl.SHA256 {
		t.Errorf("sha256 %s, the archive's is %s", pl.SHA256, got)
	}
	modes := modesIn(t, data)
	for _, f := range pl.Files {
		if _, ok := modes[f.From]; !ok || !filepath.IsLocal(f.To) {
			t.Errorf("file %q to %q: the archive has %v", f.From, f.To, modes)
		}
	}
	if modes[pl.Bin]&0o111 == 0 || !filepath.IsLocal(pl.Bin) {
		t.Errorf("bin %q has mode %o", pl.Bin, modes[pl.Bin])
	}
	if !strings.HasPrefix(filepath.Base(pl.Bin), "kubectl-") {
		t.Errorf("bin %q is no plugin's name", pl.Bin)
	}
}

func modesIn(t *testing.T, data []byte) map[string]int64 {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for tr := tar.NewReader(z); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = h.Mode
	}
}

func TestManifest(t *testing.T) {
	dir := t.TempDir()
	args := []string{"-version", "v9.9.9", "-manifest", "../../deploy/krew/netpol.yaml", "-license", "../../LICENSE", "-o", dir}
	for _, p := range []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"} {
		binary := filepath.Join(dir, strings.ReplaceAll(p, "/", "_"))
		if err := os.WriteFile(binary, []byte("program for "+p), 0o755); err != nil {
			t.Fatal(err)
		}
		args = append(args, p+"="+binary)
	}
	if err := run(args); err != nil {
		t.Fatal(err)
	}
	check(t, dir, "v9.9.9")
}

// What make krew has made, if $NETPOL_DIST names it.
func TestShipped(t *testing.T) {
	dir := os.Getenv("NETPOL_DIST")
	if dir == "" {
		t.Skip("$NETPOL_DIST is not set (make deploy-check sets it)")
	}
	check(t, dir, os.Getenv("NETPOL_VERSION"))
}

func TestWhatIsRefused(t *testing.T) {
	common := "-manifest ../../deploy/krew/netpol.yaml -license ../../LICENSE -o " + t.TempDir() + " "
	for args, says := range map[string]string{
		"": "usage",
		"-version 1.2 " + common + "linux/amd64=x": "version",
		"-version v1.2.3 " + common + "linux=x":    "OS/ARCHITECTURE",
		"-version v1.2.3 " + common + "linux/x=/n": "no such file",
	} {
		if err := run(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
