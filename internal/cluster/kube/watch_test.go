package kube_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/pkg/policy"
)

const vote = "apiVersion: v1\nkind: Namespace\nmetadata: {name: vote}\n"

func tierYAML(name string) string {
	return "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: " + name + "}\nspec: {order: 5}\n"
}

func names(s cluster.State) string {
	if s.Snapshot == nil {
		return "nothing"
	}
	var out []string
	for _, p := range s.Snapshot.Policies {
		out = append(out, fmt.Sprintf("%s:%v", p.Name, p.Order))
	}
	return strings.Join(out, " ")
}

func has(list string) func(cluster.State) bool {
	return func(s cluster.State) bool { return names(s) == list }
}

func watch(t *testing.T, f *fake) (*kube.Store, <-chan cluster.State) {
	t.Helper()
	s := open(t, f.config(), kube.Options{})
	ch, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s, ch
}

func watchWith(t *testing.T, f *fake, opts kube.Options) <-chan cluster.State {
	t.Helper()
	ch, err := open(t, f.config(), opts).Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// never fails if a state comes that may not.
func never(t *testing.T, ch <-chan cluster.State, d time.Duration, what string, bad func(cluster.State) bool) {
	t.Helper()
	late := time.After(d)
	for {
		select {
		case s := <-ch:
			if bad(s) {
				t.Fatalf("%s: %s", what, names(s))
			}
		case <-late:
			return
		}
	}
}

// S31: before everything has been read, nothing is said.
func TestWatchSaysNothingHalfSynced(t *testing.T) {
	f := newFake(t)
	f.put(t, np("vote", "db", 1))
	pods := collection(policy.KindPod)
	f.set(func() { f.silent[pods] = true })
	s, ch := watch(t, f)
	never(t, ch, 300*time.Millisecond, "a state without pods", func(cluster.State) bool { return true })
	if w := s.Waiting(); len(w) != 1 || w[0] != "pods: not read yet" {
		t.Errorf("waiting for %v", w)
	}
	f.set(func() { f.silent[pods] = false })
	await(t, ch, "all is read", has("db:1"))
	if w := s.Waiting(); len(w) != 0 {
		t.Errorf("waiting for %v", w)
	}
}

// With and without a server that can list by watching.
func TestWatchFollowsChanges(t *testing.T) {
	for _, noWatchList := range []bool{false, true} {
		t.Run(fmt.Sprint(noWatchList), func(t *testing.T) {
			f := newFake(t)
			f.noWatchList = noWatchList
			f.put(t, vote)
			f.put(t, np("vote", "one", 1))
			f.put(t, np("vote", "two", 2))
			_, ch := watch(t, f)
			first := await(t, ch, "at once", has("one:1 two:2"))
			f.put(t, np("vote", "two", 3))
			second := await(t, ch, "a change", has("one:1 two:3"))
			if first.Snapshot.Policies[0] != second.Snapshot.Policies[0] || first.Snapshot.Namespaces[0] != second.Snapshot.Namespaces[0] {
				t.Error("what did not change is another pointer")
			}
			f.drop(t, np("vote", "one", 1), false)
			await(t, ch, "a deletion", has("two:3"))
			f.put(t, np("vote", "three", 4))
			await(t, ch, "a new one", has("three:4 two:3"))
			// A change that no verdict depends on is another version and the same
			// snapshot.
			before := f.put(t, np("vote", "two", 3))
			st := await(t, ch, "its version", func(s cluster.State) bool {
				return s.Has(policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "two"}, fmt.Sprint(before), false)
			})
			f.put(t, strings.Replace(np("vote", "two", 3), "metadata: {", "metadata: {annotations: {a: b}, ", 1))
			again := await(t, ch, "a note", func(s cluster.State) bool { return s.Versions != st.Versions })
			if again.Snapshot != st.Snapshot {
				t.Error("the snapshot is another one")
			}
		})
	}
}

// A watch that breaks loses nothing and is taken up where it was.
func TestWatchBreaks(t *testing.T) {
	f := newFake(t)
	f.put(t, np("vote", "one", 1))
	_, ch := watch(t, f)
	await(t, ch, "at once", has("one:1"))
	f.set(func() { f.asked = nil })
	for order := 2; order < 6; order++ {
		f.set(func() { f.refuse = []int{500, 503, 500} })
		f.breakWatches()
		f.put(t, np("vote", "one", order))
		await(t, ch, "after a break", has(fmt.Sprintf("one:%d", order)))
	}
	f.set(func() {
		for _, a := range f.asked {
			if !strings.Contains(a, "watch=true") || strings.Contains(a, "sendInitialEvents") {
				t.Errorf("all was read again: %s", a)
			}
		}
	})
}

// Versions that the server forgot: all is read again, and what is in force
// stays until that is whole. What was deleted meanwhile goes then.
func TestWatchReadsAgainWhatExpired(t *testing.T) {
	f := newFake(t)
	f.put(t, np("vote", "one", 1))
	f.put(t, np("vote", "two", 2))
	_, ch := watch(t, f)
	await(t, ch, "at once", has("one:1 two:2"))
	policies := collection(policy.KindNetworkPolicy)
	f.drop(t, np("vote", "two", 2), true)
	f.set(func() { f.expired = f.version + 100; f.silent[policies] = true })
	f.breakWatches()
	never(t, ch, 500*time.Millisecond, "while it is read again", func(s cluster.State) bool { return names(s) != "one:1 two:2" })
	f.set(func() { f.silent[policies] = false })
	st := await(t, ch, "read again", has("one:1"))
	if !st.Has(policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "two"}, "12", true) {
		t.Error("the deletion is not told")
	}
}

// A server that is busy is asked again when it says so.
func TestWatchHeedsThrottling(t *testing.T) {
	f := newFake(t)
	f.put(t, np("vote", "one", 1))
	f.refuse = []int{429, 429}
	start := time.Now()
	_, ch := watch(t, f)
	await(t, ch, "in the end", has("one:1"))
	if time.Since(start) < 500*time.Millisecond {
		t.Error("it was not left alone")
	}
}

// An API that there is not has no resources; when it comes, it is followed. One
// that goes while it has resources may be a server that is half there.
func TestWatchOfAnAbsentAPI(t *testing.T) {
	f := newFake(t)
	tiers, policies := collection(policy.KindTier), collection(policy.KindNetworkPolicy)
	f.put(t, np("vote", "one", 1))
	f.set(func() { f.absent[tiers] = true })
	_, ch := watch(t, f)
	st := await(t, ch, "without tiers", has("one:1"))
	if st.Has(policy.Key{Kind: policy.KindTier, Name: "x"}, "1", false) {
		t.Error("a kind that is not there has versions")
	}
	f.set(func() { f.absent[policies] = true; f.expired = f.version + 1 })
	f.breakWatches()
	never(t, ch, 2*time.Second, "a server half there", func(s cluster.State) bool { return names(s) != "one:1" })
	f.set(func() { f.absent = map[string]bool{}; f.expired = 0 })
	f.put(t, tierYAML("platform"))
	await(t, ch, "the API is there", func(s cluster.State) bool { return len(s.Snapshot.Tiers) == 1 })
}

// S13: a policy that is ahead of its tier's watch waits for it a moment.
func TestWatchWaitsForATier(t *testing.T) {
	f := newFake(t)
	f.put(t, np("vote", "one", 1))
	ch := watchWith(t, f, kube.Options{}.Holding(time.Hour))
	await(t, ch, "at once", has("one:1"))
	tiers := collection(policy.KindTier)
	f.set(func() { f.silent[tiers] = true })
	f.put(t, tierYAML("late"))
	f.put(t, strings.Replace(np("vote", "two", 2), "tier: default", "tier: late", 1))
	never(t, ch, 300*time.Millisecond, "the policy without its tier", has("one:1 two:2"))
	f.set(func() { f.silent[tiers] = false })
	st := await(t, ch, "the policy", has("one:1 two:2"))
	if len(st.Faults) > 0 {
		t.Errorf("it came without its tier: %v", st.Faults)
	}
	// One whose tier does not come is in force all the same, where a moment is as
	// long as it is.
	_, ch = watch(t, f)
	await(t, ch, "both", has("one:1 two:2"))
	f.put(t, strings.Replace(np("vote", "three", 3), "tier: default", "tier: never", 1))
	st = await(t, ch, "a policy without tier", has("one:1 three:3 two:2"))
	if len(st.Faults) != 1 || st.Faults[0].Code != policy.CodeMissingTier {
		t.Errorf("got %v", st.Faults)
	}
}

// A policy that turns faulty closes (S4); it does not vanish.
func TestWatchKeepsFaultyPolicies(t *testing.T) {
	f := newFake(t)
	f.put(t, np("vote", "one", 1))
	_, ch := watch(t, f)
	await(t, ch, "at once", has("one:1"))
	f.put(t, strings.Replace(np("vote", "one", 1), "app == 'db'", "app =", 1))
	st := await(t, ch, "a fault", func(s cluster.State) bool { return len(s.Faults) > 0 })
	if len(st.Snapshot.Policies) != 1 || st.Snapshot.Policies[0].Selector != nil {
		t.Errorf("got %+v", st.Snapshot.Policies)
	}
	f.put(t, np("vote", "one", 1))
	await(t, ch, "corrected", func(s cluster.State) bool { return len(s.Faults) == 0 && s.Snapshot.Policies[0].Selector != nil })
}

// What was written before Reload is in the next Snapshot, also where a watch
// keeps silent about it; it does not go back when the watch comes after.
func TestReloadWhileWatched(t *testing.T) {
	f := newFake(t)
	f.put(t, np("vote", "one", 1))
	s, ch := watch(t, f)
	await(t, ch, "at once", has("one:1"))
	policies := collection(policy.KindNetworkPolicy)
	f.set(func() { f.silent[policies] = true })
	f.put(t, np("vote", "one", 2))
	written := f.put(t, np("vote", "one", 3))
	st, err := s.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if st.Versions == nil || !st.Has(policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "one"}, fmt.Sprint(written), false) || names(st) != "one:3" {
		t.Errorf("got %s at %+v", names(st), st.Versions)
	}
	snap, _, err := s.Snapshot(t.Context())
	if err != nil || snap.Policies[0].Order != 3 {
		t.Fatalf("%v, %+v", err, snap.Policies)
	}
	await(t, ch, "the watch is told", has("one:3"))
	f.set(func() { f.silent[policies] = false })
	f.breakWatches()
	never(t, ch, 500*time.Millisecond, "it goes back", func(s cluster.State) bool { return names(s) != "one:3" })
	keys, err := s.Keys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Errorf("%v, %v", keys, err)
	}
}

// A cluster of several pages is read whole.
func TestSnapshotByPages(t *testing.T) {
	f := newFake(t)
	for i := range 1203 {
		f.put(t, np("vote", fmt.Sprintf("p-%d", i), i+1))
	}
	f.absent[collection(policy.KindClusterNetworkPolicy)] = true
	s := open(t, f.config(), kube.Options{})
	snap, faults, err := s.Only(policy.KindNetworkPolicy, policy.KindClusterNetworkPolicy).Snapshot(t.Context())
	if err != nil || len(faults) > 0 || len(snap.Policies) != 1203 {
		t.Fatalf("%v, %v, %d policies", err, faults, len(snap.Policies))
	}
	list, err := s.List(t.Context(), policy.KindNetworkPolicy, "")
	if err != nil || len(list) != 1203 {
		t.Errorf("%v, %d listed", err, len(list))
	}
	f.set(func() {
		if got := len(f.asked); got != 3+1+3 {
			t.Errorf("%d requests: %v", got, f.asked)
		}
		f.refuse = []int{429, 500}
	})
	if _, _, err := s.Only(policy.KindTier).Snapshot(t.Context()); err == nil {
		t.Error("an error of the server passed")
	} else if failure := (*cluster.Failure)(nil); !errors.As(err, &failure) || failure.Try == "" || !strings.Contains(failure.What, "list tiers.projectcalico.org") {
		t.Errorf("got %v", err)
	}
}

// What a server warns of is told once.
func TestWarningsAreToldOnce(t *testing.T) {
	f := newFake(t)
	f.warning = "v3 is deprecated"
	var told []string
	s := open(t, f.config(), kube.Options{Warn: func(text string) { told = append(told, text) }})
	for range 3 {
		if _, _, err := s.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 1 || told[0] != "warning: v3 is deprecated" {
		t.Errorf("told %q", told)
	}
}

// A server that does not know how to list by watching, and does not say so
// either, is listed by pages.
func TestWatchOfAServerThatNeverEndsItsList(t *testing.T) {
	f := newFake(t)
	f.put(t, np("vote", "one", 1))
	f.endless = true
	s := open(t, f.config(), kube.Options{}.Patient(100*time.Millisecond))
	ch, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	await(t, ch, "by pages", has("one:1"))
	f.put(t, np("vote", "one", 2))
	await(t, ch, "a change", has("one:2"))
}

// A connection on which nothing comes any more, not even the end of the watch that
// the server was asked for, is given up, and the watch taken up where it was.
func TestWatchOfADeadConnection(t *testing.T) {
	f := newFake(t)
	f.put(t, np("vote", "one", 1))
	s := open(t, f.config(), kube.Options{}.Watching(100*time.Millisecond))
	ch, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	await(t, ch, "at once", has("one:1"))
	tried := 0
	for deadline := time.Now().Add(30 * time.Second); tried < 3 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		tried = 0
		f.set(func() {
			for _, a := range f.asked {
				if strings.Contains(a, "/networkpolicies?") && strings.Contains(a, "watch=true") && strings.Contains(a, "projectcalico") {
					tried++
				}
			}
		})
	}
	if tried < 3 {
		t.Errorf("the watch was tried %d times", tried)
	}
	f.put(t, np("vote", "one", 2))
	await(t, ch, "a change", has("one:2"))
}

// Reload does not return while what was written is kept back.
func TestReloadWaitsForWhatIsHeld(t *testing.T) {
	f := newFake(t)
	f.put(t, vote)
	s, ch := watch(t, f)
	await(t, ch, "at once", has(""))
	f.put(t, strings.Replace(np("vote", "two", 2), "tier: default", "tier: never", 1))
	if st, err := s.Reload(t.Context()); err != nil || names(st) != "two:2" {
		t.Errorf("got %s, %v", names(st), err)
	}
}
