package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// tree writes files (name → text) into a new directory and opens it.
func tree(t testing.TB, files map[string]string) *Dir {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		put(t, filepath.Join(root, name), text)
	}
	d, err := OpenDir(root)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// put writes a file as other programs do: aside, then renamed.
func put(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(filepath.Dir(path), ".put.tmp")
	if err := os.WriteFile(temp, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(temp, path); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// np is a NetworkPolicy in namespace a that allows TCP to a port.
func np(name string, port int) string {
	return fmt.Sprintf(`apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata:
  name: %s
  namespace: a
spec:
  selector: app == '%s'
  ingress:
  - action: Allow
    protocol: TCP
    destination:
      ports:
      - %d
`, name, name, port)
}

func npKey(name string) policy.Key {
	return policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "a", Name: name}
}

// object is the resource in a manifest.
func object(t testing.TB, text string) *unstructured.Unstructured {
	t.Helper()
	u, _ := parseObjects([]byte(text))
	if u == nil {
		t.Fatalf("no object in %s", text)
	}
	return u
}

func snapshot(t testing.TB, d *Dir) *policy.Snapshot {
	t.Helper()
	s, faults, err := d.Snapshot(t.Context())
	if err != nil || len(faults) > 0 {
		t.Fatal(err, faults)
	}
	return s
}

func policyNames(s *policy.Snapshot) string {
	var out []string
	for _, p := range s.Policies {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

func TestDirReadsWhatKubectlReads(t *testing.T) {
	d := tree(t, map[string]string{
		"one.yaml":             np("one", 1),
		"sub/deep/two.yml":     np("two", 2) + "---\n" + np("three", 3),
		"four.json":            `{"apiVersion":"projectcalico.org/v3","kind":"NetworkPolicy","metadata":{"name":"four","namespace":"a"}}`,
		"list.yaml":            "apiVersion: v1\nkind: List\nitems:\n- apiVersion: projectcalico.org/v3\n  kind: NetworkPolicy\n  metadata: {name: five, namespace: a}\n",
		"six.yaml":             "# a comment\n---\n# another\n" + np("six", 6) + "...\n",
		"crlf.yaml":            strings.ReplaceAll(np("seven", 7), "\n", "\r\n"),
		".git/hidden.yaml":     np("hidden", 1),
		".swap.yaml":           np("hidden", 1),
		"old.yaml~":            np("hidden", 1),
		"#lock.yaml":           np("hidden", 1),
		".netpol-12.tmp":       np("hidden", 1),
		"README.md":            "no manifest",
		"other/configmap.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: b}\n",
		"empty.yaml":           "",
	})
	if got, want := policyNames(snapshot(t, d)), "five four one seven six three two"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, name := range []string{"one", "two", "three", "four", "five", "six", "seven"} {
		u, err := d.Get(t.Context(), npKey(name))
		if err != nil || u.GetName() != name {
			t.Errorf("%s: %v, %v", name, u, err)
		}
	}
	if _, err := d.Get(t.Context(), npKey("hidden")); !errors.Is(err, ErrNotFound) {
		t.Errorf("hidden: %v", err)
	}
	list, err := d.List(t.Context(), policy.KindNetworkPolicy, "a")
	if err != nil || len(list) != 7 || list[0].GetName() != "five" {
		t.Errorf("%v, %v", list, err)
	}
}

func TestOpenDirRefuses(t *testing.T) {
	root := t.TempDir()
	if _, err := OpenDir(filepath.Join(root, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	put(t, filepath.Join(root, "file"), "")
	if _, err := OpenDir(filepath.Join(root, "file")); err == nil {
		t.Error("a file was opened")
	}
}
