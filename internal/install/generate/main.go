// Command generate writes what a cluster's API server is to know of netpol's
// kinds into deploy/, from the tables of packages crd and admission.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/install/admission"
	"github.com/netpol-project/netpol/internal/install/crd"
)

//go:generate go run . ../../../deploy

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: generate DIR"))
	}
	files, err := files()
	if err != nil {
		fail(err)
	}
	for name, content := range files {
		path := filepath.Join(os.Args[1], name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			fail(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			fail(err)
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "generate:", err)
	os.Exit(1)
}

// files are the manifests by their path under deploy/.
func files() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, u := range crd.CRDs() {
		if err := add(out, "crds/"+u.GetName()+".yaml", u); err != nil {
			return nil, err
		}
	}
	for _, u := range admission.Objects() { // a policy and its binding share a name
		if err := add(out, "admission/"+u.GetName()+".yaml", u); err != nil {
			return nil, err
		}
	}
	return out, add(out, "admission/roles.yaml", admission.Roles()...)
}

// add appends objects to a file.
func add(files map[string][]byte, name string, objects ...*unstructured.Unstructured) error {
	var b bytes.Buffer
	b.Write(files[name])
	for _, u := range objects {
		text, err := yaml.Marshal(u.Object)
		if err != nil {
			return err
		}
		if b.Len() == 0 {
			b.WriteString("# Made by make generate; do not edit.\n")
		} else {
			b.WriteString("---\n")
		}
		b.Write(text)
	}
	files[name] = b.Bytes()
	return nil
}
