package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// TestDirConcurrentWritersAndReaders: several stores on one directory change
// and read it at once; every change is kept, and no reader ever sees a half.
func TestDirConcurrentWritersAndReaders(t *testing.T) {
	const writers, each = 4, 8
	d := tree(t, map[string]string{"all.yaml": np("seed", 1)})
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			r, err := OpenDir(d.root)
			if err != nil {
				t.Error(err)
				return
			}
			for seen := 0; ; {
				select {
				case <-done:
					return
				default:
				}
				s, faults, err := r.Snapshot(t.Context())
				if err != nil || len(faults) > 0 || len(s.Policies) < seen {
					t.Errorf("%v, %v, %d after %d", err, faults, len(s.Policies), seen)
					return
				}
				seen = len(s.Policies)
			}
		})
	}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			s, err := OpenDir(d.root)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range each {
				port := int64(w*each + i + 1)
				// All fight for the rules of one policy, besides one of their own.
				seed, err := s.Get(t.Context(), npKey("seed"))
				if err != nil {
					t.Error(err)
					return
				}
				spec := seed.Object["spec"].(map[string]any)
				spec["ingress"] = append(spec["ingress"].([]any), map[string]any{
					"action": "Allow", "protocol": "TCP", "destination": map[string]any{"ports": []any{port + 100}}})
				_, err = s.Change(t.Context(), []Change{{Object: seed}, {Object: object(t, np(fmt.Sprintf("p%d", port), int(port)))}}, false)
				for errors.Is(err, ErrConflict) {
					if seed, err = s.Get(t.Context(), npKey("seed")); err != nil {
						break
					}
					spec := seed.Object["spec"].(map[string]any)
					spec["ingress"] = append(spec["ingress"].([]any), map[string]any{
						"action": "Allow", "protocol": "TCP", "destination": map[string]any{"ports": []any{port + 100}}})
					_, err = s.Change(t.Context(), []Change{{Object: seed}, {Object: object(t, np(fmt.Sprintf("p%d", port), int(port)))}}, false)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	close(done)
	wg.Wait()
	s := snapshot(t, d)
	if len(s.Policies) != writers*each+1 {
		t.Errorf("%d policies, want %d", len(s.Policies), writers*each+1)
	}
	if n := len(s.Policy(npKey("seed")).Rules[policy.Ingress]); n != writers*each+1 {
		t.Errorf("%d rules, want %d: updates were lost", n, writers*each+1)
	}
}

// await takes States until one satisfies, and fails after a long while.
func await(t *testing.T, ch <-chan State, what string, ok func(State) bool) State {
	t.Helper()
	late := time.After(20 * time.Second)
	for {
		select {
		case s, open := <-ch:
			if !open {
				t.Fatalf("%s: the watch ended", what)
			}
			if ok(s) {
				return s
			}
		case <-late:
			t.Fatalf("%s: nothing came", what)
		}
	}
}

func named(names string) func(State) bool {
	return func(s State) bool { return policyNames(s.Snapshot) == names }
}

func TestDirWatch(t *testing.T) {
	d := tree(t, map[string]string{"one.yaml": np("one", 1)})
	ctx, cancel := context.WithCancel(t.Context())
	ch, err := d.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	first := await(t, ch, "at once", named("one"))
	put(t, filepath.Join(d.root, "two.yaml"), np("two", 2))
	second := await(t, ch, "a new file", named("one two"))
	if first.Snapshot.Policies[0] != second.Snapshot.Policies[0] {
		t.Error("a policy that did not change is another pointer")
	}
	if second.Snapshot.Revision <= first.Snapshot.Revision {
		t.Error("the revision does not grow")
	}
	put(t, filepath.Join(d.root, "new/deep/three.yaml"), np("three", 3))
	await(t, ch, "a new directory", named("one three two"))
	put(t, filepath.Join(d.root, "new/deep/four.yaml"), np("four", 4))
	await(t, ch, "a file in a new directory", named("four one three two"))
	if err := os.Remove(filepath.Join(d.root, "two.yaml")); err != nil {
		t.Fatal(err)
	}
	await(t, ch, "a file removed", named("four one three"))
	if err := os.Rename(filepath.Join(d.root, "new"), filepath.Join(t.TempDir(), "away")); err != nil {
		t.Fatal(err)
	}
	await(t, ch, "a directory moved away", named("one"))
	in, err := os.OpenFile(filepath.Join(d.root, "one.yaml"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(in, "---\n"+np("five", 5))
	in.Close()
	await(t, ch, "written in place", named("five one"))
	if _, err := d.Change(t.Context(), []Change{{Object: object(t, np("six", 6))}}, false); err != nil {
		t.Fatal(err)
	}
	await(t, ch, "changed by ourselves", named("five one six"))
	cancel()
	for range ch {
	}
	ch, err = d.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	await(t, ch, "watched again", named("five one six"))
}

// TestDirReloadWhileWatched: what was written before Reload is in the next
// Snapshot, and every watch has been told.
func TestDirReloadWhileWatched(t *testing.T) {
	d := tree(t, map[string]string{"one.yaml": np("one", 1)})
	ch, err := d.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for port := 2; port < 60; port++ {
		put(t, filepath.Join(d.root, "one.yaml"), np("one", port))
		if err := d.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case s := <-ch:
			if got := s.Snapshot.Policies[0].Rules[policy.Ingress][0].Destination.Ports[0].Min; int(got) != port {
				t.Fatalf("the watch has port %d, want %d", got, port)
			}
		default:
			t.Fatalf("the watch was not told of port %d", port)
		}
		if got := snapshot(t, d).Policies[0].Rules[policy.Ingress][0].Destination.Ports[0].Min; int(got) != port {
			t.Fatalf("got port %d, want %d", got, port)
		}
	}
	left, _ := filepath.Glob(filepath.Join(d.root, ".*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestDirKeepsPoliciesOfABrokenFile: a file that can't be parsed any more does
// not open what its policies closed.
func TestDirKeepsPoliciesOfABrokenFile(t *testing.T) {
	d := tree(t, map[string]string{"all.yaml": np("one", 1) + "---\n" + np("two", 2)})
	put(t, filepath.Join(d.root, "all.yaml"), np("one", 1)+"---\n"+strings.Replace(np("two", 2), "spec:", "spec: [", 1))
	s, faults, err := d.Snapshot(t.Context())
	if err != nil || len(faults) != 1 || faults[0].Origin.Line < 15 {
		t.Errorf("%v, %v", faults, err)
	}
	if got := policyNames(s); got != "one two" {
		t.Errorf("in force: %s", got)
	}
	put(t, filepath.Join(d.root, "all.yaml"), np("one", 1))
	if got := policyNames(snapshot(t, d)); got != "one" {
		t.Errorf("in force: %s", got)
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
