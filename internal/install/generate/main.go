// Command generate writes the files of deploy/ into a directory: make generate.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/netpol-project/netpol/internal/install"
)

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(2)
	}
}

// generated are the paths of which nothing is written by hand.
var generated = []string{"netpol.yaml", "crds", "helm"}

func write(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: generate DIRECTORY")
	}
	files, err := install.Files()
	if err != nil {
		return err
	}
	for _, name := range generated {
		if err := os.RemoveAll(filepath.Join(args[0], name)); err != nil {
			return err
		}
	}
	for name, data := range files {
		path := filepath.Join(args[0], filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
