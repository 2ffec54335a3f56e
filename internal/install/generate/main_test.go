package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is in deploy/ is what the tables say.
func TestDeployIsCurrent(t *testing.T) {
	want, err := files()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"crds", "admission"} {
		there, err := os.ReadDir("../../../deploy/" + dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range there {
			if want[dir+"/"+e.Name()] == nil {
				t.Errorf("deploy/%s/%s is made from nothing: remove it", dir, e.Name())
			}
		}
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join("../../../deploy", name))
		if err != nil {
			t.Errorf("%v: make generate", err)
		} else if diff := cmp.Diff(string(text), string(got)); diff != "" {
			t.Errorf("deploy/%s is old: make generate\n%s", name, diff)
		}
	}
}
