// Command krew packs the program for each platform into an archive, and writes
// the manifest of kubectl's plugin manager for them: make krew.
//
//	krew -version v0.1.0 -manifest deploy/krew/netpol.yaml -license LICENSE -o bin/dist linux/amd64=netpol-amd64 …
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"time"
)

// Plugin is the program's name in the archives: as kubectl calls it.
const Plugin = "kubectl-netpol"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "krew:", err)
		os.Exit(2)
	}
}

// Archive is one of them, as the manifest's template sees it.
type Archive struct{ OS, Arch, Name, SHA256 string }

var version = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

func run(args []string) error {
	fs := flag.NewFlagSet("krew", flag.ContinueOnError)
	release := fs.String("version", "", "version, v1.2.3")
	manifest := fs.String("manifest", "", "the manifest's template")
	license := fs.String("license", "", "file that goes into every archive")
	created := fs.Int64("created", 0, "time of the files in archives, in seconds since 1970")
	out := fs.String("o", "", "directory to write to")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *manifest == "" || *license == "" || *out == "" || fs.NArg() == 0 {
		return fmt.Errorf("usage: krew -version V -manifest FILE -license FILE -o DIRECTORY OS/ARCHITECTURE=BINARY …")
	}
	if !version.MatchString(*release) {
		return fmt.Errorf("version %q: expected v1.2.3", *release)
	}
	t, err := template.New("netpol.yaml").Option("missingkey=error").ParseFiles(*manifest)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	var archives []Archive
	for _, arg := range fs.Args() {
		platform, path, ok := strings.Cut(arg, "=")
		goos, arch, both := strings.Cut(platform, "/")
		if !ok || !both || goos == "" || arch == "" {
			return fmt.Errorf("%q: expected OS/ARCHITECTURE=BINARY", arg)
		}
		a := Archive{OS: goos, Arch: arch, Name: fmt.Sprintf("netpol_%s_%s_%s.tar.gz", *release, goos, arch)}
		data, err := pack(path, *license, time.Unix(*created, 0).UTC())
		if err != nil {
			return err
		}
		a.SHA256 = fmt.Sprintf("%x", sha256.Sum256(data))
		if err := os.WriteFile(filepath.Join(*out, a.Name), data, 0o644); err != nil {
			return err
		}
		archives = append(archives, a)
	}
	var text bytes.Buffer
	if err := t.Execute(&text, map[string]any{"Version": *release, "Archives": archives}); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*out, "netpol.yaml"), text.Bytes(), 0o644)
}

// pack is the archive of a program, the same whoever makes it and when.
func pack(binary, license string, at time.Time) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	for _, f := range []struct {
		name, path string
		mode       int64
	}{{Plugin, binary, 0o755}, {"LICENSE", license, 0o644}} {
		data, err := os.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(data)), ModTime: at, Format: tar.FormatPAX}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
