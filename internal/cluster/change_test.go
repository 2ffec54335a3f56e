package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

func TestDirKeepsCommentsAndOtherDocuments(t *testing.T) {
	first := "# owned by team a\n" + strings.Replace(np("one", 1), "  selector:", "  # who\n  selector:", 1)
	second := `--- # the second
# why it is here
apiVersion: projectcalico.org/v3
kind: NetworkPolicy # a kind
metadata:
  name: two
  namespace: a
spec:
  # the database
  selector: app == 'two'   # by app
  ingress:
    # the worker
    - action: Allow
      protocol: TCP
      destination:
        ports: [1, 2] # both
    # the web
    - action: Allow
      protocol: UDP
`
	third := "---\n\n\n" + np("three", 3)
	d := tree(t, map[string]string{"all.yaml": first + second + third})
	u, err := d.Get(t.Context(), npKey("two"))
	if err != nil {
		t.Fatal(err)
	}
	spec := u.Object["spec"].(map[string]any)
	spec["order"] = int64(5)
	rules := spec["ingress"].([]any)
	spec["ingress"] = []any{map[string]any{"action": "Log"}, rules[0], rules[1]}
	if _, err := d.Change(t.Context(), []Change{{Object: u}}, false); err != nil {
		t.Fatal(err)
	}
	want := `---
# the second
# why it is here
apiVersion: projectcalico.org/v3
kind: NetworkPolicy # a kind
metadata:
  name: two
  namespace: a
spec:
  order: 5
  # the database
  selector: app == 'two' # by app
  ingress:
    - action: Log
    # the worker
    - action: Allow
      protocol: TCP
      destination:
        ports: [1, 2] # both
    # the web
    - action: Allow
      protocol: UDP
`
	if got := get(t, filepath.Join(d.root, "all.yaml")); got != first+want+third {
		t.Errorf("got:\n%s", got)
	}
}

func TestDirChange(t *testing.T) {
	d := tree(t, map[string]string{"all.yaml": np("one", 1) + "---\n" + np("two", 2), "three.yaml": "# three\n" + np("three", 3)})
	tier := "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: platform}\nspec: {order: 100}\n"
	results, err := d.Change(t.Context(), []Change{
		{Object: object(t, tier)},
		{Object: object(t, np("four", 4))},
		{Object: object(t, np("one", 1))},
		{Object: object(t, np("two", 22))},
		{Delete: npKey("three")},
	}, false)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range results {
		rel, _ := filepath.Rel(d.root, r.Where.File)
		got = append(got, fmt.Sprintf("%s %s %s", r.Key.Name, r.Outcome, rel))
	}
	want := []string{
		"platform created tiers/tier-platform.yaml", "four created policies/networkpolicy-a-four.yaml",
		"one unchanged all.yaml", "two configured all.yaml", "three deleted three.yaml",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(filepath.Join(d.root, "three.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty file stays: %v", err)
	}
	if got := get(t, filepath.Join(d.root, "all.yaml")); got != np("one", 1)+"---\n"+np("two", 22) {
		t.Errorf("got:\n%s", got)
	}
	if got := policyNames(snapshot(t, d)); got != "four one two" {
		t.Errorf("got %s", got)
	}
	if _, err := d.Change(t.Context(), []Change{{Delete: npKey("one")}}, false); err != nil {
		t.Fatal(err)
	}
	if got := get(t, filepath.Join(d.root, "all.yaml")); got != "---\n"+np("two", 22) {
		t.Errorf("got:\n%s", got)
	}
}

// Names of resources may be longer than those of files.
func TestDirWritesLongNames(t *testing.T) {
	d := tree(t, map[string]string{"one.yaml": np("one", 1)})
	long := strings.Repeat("d", 252)
	for i, name := range []string{long + "a", long + "b"} {
		if _, err := d.Change(t.Context(), []Change{{Object: object(t, np(name, i+2))}}, false); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := policyNames(snapshot(t, d)), long+"a "+long+"b one"; got != want {
		t.Errorf("got %s", got)
	}
}

// What a manifest calls a kind that netpol knows nothing of is no path.
func TestDirWritesIntoItsOwnFoldersOnly(t *testing.T) {
	above := t.TempDir()
	if err := os.Mkdir(filepath.Join(above, "d"), 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDir(filepath.Join(above, "d"))
	if err != nil {
		t.Fatal(err)
	}
	for meta, want := range map[string]string{
		`{name: ../../../out}`:                    "configmap-..-..-..-out.yaml",
		`{name: x, namespace: "../../../../out"}`: "configmap-..-..-..-..-out-x.yaml",
		`{name: "system:node\u0000 é"}`:           "configmap-system-node---.yaml",
	} {
		rs, err := d.Change(t.Context(), []Change{{Object: object(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: "+meta+"\n")}}, false)
		if err != nil {
			t.Fatalf("%s: %v", meta, err)
		}
		if got, err := filepath.Rel(d.root, rs[0].Where.File); got != want {
			t.Errorf("%s: %s, %v", meta, got, err)
		}
	}
	if entries, err := os.ReadDir(above); len(entries) != 1 {
		t.Errorf("there are %v, %v", entries, err)
	}
}

// Items of a List are one text, and may be changed together.
func TestDirChangesSeveralItemsOfAList(t *testing.T) {
	const text = `apiVersion: v1
kind: List
items:
- apiVersion: projectcalico.org/v3
  kind: NetworkPolicy
  metadata: {name: one, namespace: a}
  spec: {order: 1}
- apiVersion: projectcalico.org/v3
  kind: NetworkPolicy
  metadata: {name: two, namespace: a}
  spec: {order: 2}
`
	d := tree(t, map[string]string{"list.yaml": text})
	var changes []Change
	for i, name := range []string{"one", "two"} {
		u, err := d.Get(t.Context(), npKey(name))
		if err != nil {
			t.Fatal(err)
		}
		u.Object["spec"].(map[string]any)["order"] = int64(11 + i)
		changes = append(changes, Change{Object: u})
	}
	if _, err := d.Change(t.Context(), changes, false); err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer("order: 1", "order: 11", "order: 2", "order: 12").Replace(text)
	if got := get(t, filepath.Join(d.root, "list.yaml")); got != want {
		t.Errorf("got:\n%s", got)
	}
	if _, err := d.Change(t.Context(), changes[:1], false); !errors.Is(err, ErrConflict) {
		t.Errorf("what was read before is written once more: %v", err)
	}
}

func TestDirChangeInListsAndJSON(t *testing.T) {
	d := tree(t, map[string]string{
		"list.yaml": `apiVersion: v1
kind: List
items:
# the first
- apiVersion: projectcalico.org/v3
  kind: NetworkPolicy
  metadata: {name: one, namespace: a} # one
  spec: {order: 1}
- apiVersion: projectcalico.org/v3
  kind: NetworkPolicy
  metadata: {name: two, namespace: a}
`,
		"three.json": `{"apiVersion":"projectcalico.org/v3","kind":"NetworkPolicy","metadata":{"name":"three","namespace":"a"},"spec":{"selector":"a != 'b'"}}`,
	})
	one, _ := d.Get(t.Context(), npKey("one"))
	one.Object["spec"].(map[string]any)["order"] = int64(7)
	three, _ := d.Get(t.Context(), npKey("three"))
	three.Object["spec"].(map[string]any)["selector"] = "a == '<b>'"
	if _, err := d.Change(t.Context(), []Change{{Object: one}, {Object: three}, {Delete: npKey("two")}}, false); err != nil {
		t.Fatal(err)
	}
	want := `apiVersion: v1
kind: List
items:
# the first
- apiVersion: projectcalico.org/v3
  kind: NetworkPolicy
  metadata: {name: one, namespace: a} # one
  spec: {order: 7}
`
	if got := get(t, filepath.Join(d.root, "list.yaml")); got != want {
		t.Errorf("got:\n%s", got)
	}
	got := get(t, filepath.Join(d.root, "three.json"))
	if !strings.Contains(got, `"selector": "a == '<b>'"`) || !strings.HasPrefix(got, "{\n") {
		t.Errorf("got:\n%s", got)
	}
	if got := policyNames(snapshot(t, d)); got != "one three" {
		t.Errorf("got %s", got)
	}
}

func TestDirWritesNothingIfAnyChangeFails(t *testing.T) {
	bad := object(t, np("bad", 2))
	bad.Object["spec"].(map[string]any)["selector"] = "app =="
	d := tree(t, map[string]string{"one.yaml": np("one", 1)})
	fresh := object(t, np("two", 2))
	for name, tc := range map[string]struct {
		change Change
		is     error
	}{
		"not there":        {Change{Delete: npKey("x")}, ErrNotFound},
		"there":            {Change{Object: object(t, np("one", 5)), IfAbsent: true}, ErrConflict},
		"faults":           {Change{Object: bad}, nil},
		"its text changed": {Change{Object: stale(t, d)}, ErrConflict},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.Change(t.Context(), []Change{{Object: fresh}, tc.change}, false)
			if err == nil || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("got %v", err)
			}
			var faults policy.Faults
			if name == "faults" && !errors.As(err, &faults) {
				t.Errorf("got %T %v", err, err)
			}
			if got := policyNames(snapshot(t, d)); got != "one" {
				t.Errorf("there is %s", got)
			}
		})
	}
	if _, err := d.Change(t.Context(), []Change{{Object: fresh}}, true); err != nil || policyNames(snapshot(t, d)) != "one" {
		t.Errorf("a dry run wrote: %v", err)
	}
	left, _ := filepath.Glob(filepath.Join(d.root, ".*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// stale is a resource of d that carries another text's version.
func stale(t testing.TB, d *Dir) *unstructured.Unstructured {
	t.Helper()
	u, err := d.Get(t.Context(), npKey("one"))
	if err != nil {
		t.Fatal(err)
	}
	u.SetResourceVersion(versionPrefix + "1")
	return u
}

func TestDirNoticesALostUpdate(t *testing.T) {
	d := tree(t, map[string]string{"one.yaml": np("one", 1)})
	mine, err := d.Get(t.Context(), npKey("one"))
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(d.root, "one.yaml"), np("one", 2))
	if _, err := d.Change(t.Context(), []Change{{Object: mine}}, false); !errors.Is(err, ErrConflict) {
		t.Errorf("got %v", err)
	}
	if got := get(t, filepath.Join(d.root, "one.yaml")); got != np("one", 2) {
		t.Errorf("overwritten:\n%s", got)
	}
}

func TestDirRefusesTwoOfOneName(t *testing.T) {
	d := tree(t, map[string]string{"one.yaml": np("one", 1), "two.yaml": np("one", 2)})
	_, err := d.Change(t.Context(), []Change{{Object: object(t, np("one", 3))}}, false)
	if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "two files") {
		t.Errorf("got %v", err)
	}
}

func TestDirEnforcesInPlace(t *testing.T) {
	staged := "# why\n" + strings.Replace(np("one", 1), "kind: Net", "kind: StagedNet", 1)
	enforced := object(t, np("one", 1))
	twin := policy.Key{Kind: policy.KindStagedNetworkPolicy, Namespace: "a", Name: "one"}
	for file, want := range map[string]string{
		"mine.yaml": "mine.yaml",
		"policies/stagednetworkpolicy-a-one.yaml": "policies/networkpolicy-a-one.yaml",
	} {
		d := tree(t, map[string]string{file: staged})
		if _, err := d.Change(t.Context(), []Change{{Object: enforced}, {Delete: twin}}, false); err != nil {
			t.Fatal(err)
		}
		if got := get(t, filepath.Join(d.root, want)); got != "# why\n"+np("one", 1) {
			t.Errorf("%s: got:\n%s", file, got)
		}
		if s := snapshot(t, d); len(s.Policies) != 1 || s.Policies[0].Kind != policy.KindNetworkPolicy {
			t.Errorf("%s: %v", file, s.Policies)
		}
	}
}
