// Command image makes netpol's container image as the tar of an OCI layout,
// without a container engine: make image.
//
//	image -name ghcr.io/netpol-project/netpol:v0.1.0 -o netpol.tar linux/amd64=netpol-amd64 …
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(2)
	}
}

func run(args []string) error {
	fs := flag.NewFlagSet("image", flag.ContinueOnError)
	name := fs.String("name", "", "the image's name with its tag")
	out := fs.String("o", "", "file to write")
	revision := fs.String("revision", "", "commit that the program was built from")
	created := fs.Int64("created", 0, "time of that commit in seconds since 1970")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if *name == "" || *out == "" || fs.NArg() == 0 {
		return fmt.Errorf("usage: image -name NAME:TAG -o FILE OS/ARCHITECTURE=BINARY …")
	}
	tag, err := tagOf(*name)
	if err != nil {
		return err
	}
	spec := Spec{Created: time.Unix(*created, 0).UTC(), Labels: map[string]string{
		"org.opencontainers.image.title":    "netpol",
		"org.opencontainers.image.source":   "https://github.com/netpol-project/netpol",
		"org.opencontainers.image.licenses": "Apache-2.0",
		"org.opencontainers.image.version":  tag,
	}}
	if *revision != "" {
		spec.Labels["org.opencontainers.image.revision"] = *revision
	}
	for _, arg := range fs.Args() {
		platform, path, ok := strings.Cut(arg, "=")
		p, err := v1.ParsePlatform(platform)
		if err != nil || !ok || p.OS == "" || p.Architecture == "" {
			return fmt.Errorf("%q: expected OS/ARCHITECTURE=BINARY", arg)
		}
		spec.Binaries = append(spec.Binaries, Binary{Platform: *p, Path: path})
	}
	index, err := Build(spec)
	if err != nil {
		return err
	}
	if err := Write(index, *name, *out); err != nil {
		return err
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s@%s\n", *name, digest)
	return nil
}
