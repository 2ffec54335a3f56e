package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

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

// TestDirWatchSurvivesTheDirectoryGoneForAWhile: nothing opens because a
// directory was moved away, and it is watched again once it is back.
func TestDirWatchSurvivesTheDirectoryGoneForAWhile(t *testing.T) {
	d := tree(t, map[string]string{"one.yaml": np("one", 1), "sub/two.yaml": np("two", 2)})
	ch, err := d.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	await(t, ch, "at once", named("one two"))
	away := filepath.Join(t.TempDir(), "away")
	if err := os.Rename(d.root, away); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Reload(t.Context()); err == nil {
		t.Error("reloaded from nowhere")
	}
	put(t, filepath.Join(away, "three.yaml"), np("three", 3))
	if err := os.Rename(away, d.root); err != nil {
		t.Fatal(err)
	}
	s := await(t, ch, "back", func(s State) bool { return policyNames(s.Snapshot) != "one two" })
	if got := policyNames(s.Snapshot); got != "one three two" {
		t.Errorf("after the one before came %q", got)
	}
	put(t, filepath.Join(d.root, "sub/four.yaml"), np("four", 4))
	await(t, ch, "watched again", named("four one three two"))
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
		if _, err := d.Reload(t.Context()); err != nil {
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
