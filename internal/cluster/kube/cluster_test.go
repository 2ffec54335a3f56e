package kube_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/internal/kubetest"
	"github.com/netpol-project/netpol/pkg/policy"
)

// TestClusterChange is the life of a policy over the real API.
func TestClusterChange(t *testing.T) {
	p := plane.Get(t)
	p.Apply(t, crds()...)
	ns := p.Namespace(t)
	s := open(t, p.Admin(), kube.Options{})
	key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: "db"}

	if _, err := s.Get(t.Context(), key); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("get of nothing: %v", err)
	}
	made := change(t, s, cluster.Change{Object: object(t, np(ns, "db", 5432)), IfAbsent: true})
	if made[0].Outcome != cluster.Created || made[0].Version == "" || made[0].Key != key {
		t.Errorf("got %+v", made)
	}
	if _, err := s.Change(t.Context(), []cluster.Change{{Object: object(t, np(ns, "db", 1)), IfAbsent: true}}, false); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("made twice: %v", err)
	}
	again := change(t, s, cluster.Change{Object: object(t, np(ns, "db", 5432))})
	if again[0].Outcome != cluster.Unchanged || again[0].Version != made[0].Version {
		t.Errorf("got %+v after %+v", again, made)
	}
	u, err := s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if u.GetManagedFields() != nil {
		t.Error("managed fields are handed out")
	}
	edited := u.DeepCopy()
	delete(edited.Object["spec"].(map[string]any), "order")
	moved := change(t, s, cluster.Change{Object: edited})
	if moved[0].Outcome != cluster.Configured || moved[0].Version == made[0].Version {
		t.Errorf("got %+v", moved)
	}
	if _, err := s.Change(t.Context(), []cluster.Change{{Object: u}}, false); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("an old one was written: %v", err)
	}
	u, err = s.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if _, there := u.Object["spec"].(map[string]any)["order"]; there {
		t.Error("the order is still there")
	}
	snap, faults, err := s.Snapshot(t.Context())
	if err != nil || len(faults.Errors()) > 0 || snap.Policy(key) == nil {
		t.Errorf("%v, %v, %+v", err, faults, snap)
	}
	gone := change(t, s, cluster.Change{Delete: key})
	if gone[0].Outcome != cluster.Deleted || gone[0].Version != moved[0].Version {
		t.Errorf("got %+v", gone)
	}
	if _, err := s.Change(t.Context(), []cluster.Change{{Delete: key}}, false); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
}

func TestClusterWatch(t *testing.T) {
	p := plane.Get(t)
	p.Apply(t, crds()...)
	ns := p.Namespace(t)
	s := open(t, p.Admin(), kube.Options{})
	ch, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	await(t, ch, "at once", func(st cluster.State) bool { return st.Snapshot != nil })
	key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: "db"}
	for port := 1; port < 5; port++ {
		r := change(t, s, cluster.Change{Object: object(t, np(ns, "db", port))})[0]
		st := await(t, ch, "a change", func(st cluster.State) bool { return st.Has(r.Key, r.Version, false) })
		if pol := st.Snapshot.Policy(key); pol == nil || int(pol.Order) != port {
			t.Errorf("got %+v", pol)
		}
	}
	r := change(t, s, cluster.Change{Delete: key})[0]
	st := await(t, ch, "a deletion", func(st cluster.State) bool { return st.Has(r.Key, r.Version, true) })
	if st.Snapshot.Policy(key) != nil {
		t.Error("it is still there")
	}
}

// TestClusterWatchThroughRestarts: an API server that stops, or crashes, takes
// nothing with it, and what was changed in between is told after it.
func TestClusterWatchThroughRestarts(t *testing.T) {
	p := kubetest.New(t, kubetest.Options{})
	p.Apply(t, crds()...)
	ns := p.Namespace(t)
	s := open(t, p.Admin(), kube.Options{})
	change(t, s, cluster.Change{Object: object(t, np(ns, "stays", 1))}, cluster.Change{Object: object(t, np(ns, "db", 1))})
	ch, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := await(t, ch, "at once", has("db:1 stays:1"))
	for i, stop := range []func(){p.StopAPIServer, p.KillAPIServer} {
		stop()
		never(t, ch, time.Second, "while it is away", func(st cluster.State) bool { return len(st.Snapshot.Policies) != 2 })
		if len(s.Waiting()) == 0 {
			t.Error("no trouble is told")
		}
		if err := p.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := change(t, open(t, p.Admin(), kube.Options{}), cluster.Change{Object: object(t, np(ns, "db", i+2))})[0]
		back := await(t, ch, "after it", func(st cluster.State) bool {
			if len(st.Snapshot.Policies) != 2 {
				t.Fatalf("it flaps: %s", names(st))
			}
			return st.Has(r.Key, r.Version, false)
		})
		if back.Snapshot.Policy(policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: "stays"}) != first.Snapshot.Policies[1] {
			t.Error("what did not change is another pointer")
		}
	}
}

// TestClusterWatchOfLateDefinitions: CRDs may come after the agent.
func TestClusterWatchOfLateDefinitions(t *testing.T) {
	p := kubetest.New(t, kubetest.Options{})
	s := open(t, p.Admin(), kube.Options{})
	ch, err := s.Watch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	st := await(t, ch, "without any", func(cluster.State) bool { return true })
	if len(st.Snapshot.Policies) != 0 || len(st.Snapshot.Namespaces) == 0 {
		t.Errorf("got %+v", st.Snapshot)
	}
	_, err = s.Change(t.Context(), []cluster.Change{{Object: object(t, np("default", "db", 1))}}, false)
	var failure *cluster.Failure
	if !errors.As(err, &failure) || !strings.Contains(failure.What, "does not know networkpolicies.projectcalico.org") || !strings.Contains(failure.Try, "netpol install") {
		t.Errorf("got %v", err)
	}
	p.Apply(t, crds()...)
	r := change(t, s, cluster.Change{Object: object(t, np("default", "db", 1))})[0]
	await(t, ch, "with them", func(st cluster.State) bool { return st.Has(r.Key, r.Version, false) })
}

// TestClusterOneOfManyCreates: of several who create one name, one does.
func TestClusterOneOfManyCreates(t *testing.T) {
	p := plane.Get(t)
	p.Apply(t, crds()...)
	ns := p.Namespace(t)
	var group sync.WaitGroup
	var made, refused atomic.Int32
	for port := range 8 {
		group.Go(func() {
			s := open(t, p.Admin(), kube.Options{})
			r, err := s.Change(t.Context(), []cluster.Change{{Object: object(t, np(ns, "one", port+1)), IfAbsent: true}}, false)
			switch {
			case err == nil && r[0].Outcome == cluster.Created:
				made.Add(1)
			case errors.Is(err, cluster.ErrConflict) && strings.Contains(err.Error(), "it exists already"):
				refused.Add(1)
			default:
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	group.Wait()
	if made.Load() != 1 || refused.Load() != 7 {
		t.Errorf("%d made it, %d were refused", made.Load(), refused.Load())
	}
}

// TestClusterConflicts: what changes between reading and writing is not
// overwritten, and what does not matter is no conflict.
func TestClusterConflicts(t *testing.T) {
	p := plane.Get(t)
	p.Apply(t, crds()...)
	ns := p.Namespace(t)
	mine, other := open(t, p.Admin(), kube.Options{}), open(t, p.Admin(), kube.Options{})
	key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: "db"}
	change(t, mine, cluster.Change{Object: object(t, np(ns, "db", 1))})

	// A deletion of what was read is not one of what it became.
	if _, err := mine.Get(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	change(t, other, cluster.Change{Object: object(t, np(ns, "db", 2))})
	if _, err := mine.Change(t.Context(), []cluster.Change{{Delete: key}}, false); !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("deleted what it was not: %v", err)
	}
	// Several changes: the second one fails, the first is not made either.
	read, err := mine.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	p.Apply(t, strings.Replace(np(ns, "db", 3), "metadata: {", "metadata: {labels: {theirs: x}, ", 1))
	_, err = mine.Change(t.Context(), []cluster.Change{{Object: object(t, np(ns, "first", 1))}, {Object: read}}, false)
	if !errors.Is(err, cluster.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if _, err := mine.Get(t.Context(), policy.Key{Kind: key.Kind, Namespace: ns, Name: "first"}); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("the first was made: %v", err)
	}
	// A manifest says nothing of labels of others, and keeps them.
	results, err := mine.ChangeWith(t.Context(), []cluster.Change{{Object: object(t, np(ns, "db", 4))}}, cluster.ChangeOptions{Force: true})
	if err != nil || results[0].Outcome != cluster.Configured {
		t.Errorf("%v, %+v", err, results)
	}
	got, err := mine.Get(t.Context(), key)
	if err != nil || got.GetLabels()["theirs"] != "x" {
		t.Errorf("%v, %+v", err, got)
	}
	// A trial on the server writes nothing.
	results, err = mine.ChangeWith(t.Context(), []cluster.Change{{Object: object(t, np(ns, "db", 5))}, {Delete: key}}, cluster.ChangeOptions{DryRun: cluster.DryRunServer})
	if err != nil || results[0].Outcome != cluster.Configured || results[1].Outcome != cluster.Deleted {
		t.Errorf("%v, %+v", err, results)
	}
	if again, err := mine.Get(t.Context(), key); err != nil || again.GetResourceVersion() != got.GetResourceVersion() {
		t.Errorf("%v: it was changed", err)
	}
}

// TestClusterPartlyDone: what could not be known before is told after: what was
// done, and what was not.
func TestClusterPartlyDone(t *testing.T) {
	p := plane.Get(t)
	p.Apply(t, crds()...)
	ns := p.Namespace(t)
	// A policy that lets every trial pass.
	p.Apply(t, `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-cursed}
spec:
  failurePolicy: Fail
  matchConstraints: {resourceRules: [{apiGroups: [projectcalico.org], apiVersions: [v3], operations: [CREATE, UPDATE], resources: [networkpolicies]}]}
  validations: [{expression: "object.metadata.name != 'cursed' || request.dryRun", message: it is cursed}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-cursed}
spec: {policyName: no-cursed, validationActions: [Deny]}
`)
	s := open(t, p.Admin(), kube.Options{})
	kubetest.Eventually(t, "the admission policy holds", func() bool {
		_, err := s.Change(t.Context(), []cluster.Change{{Object: object(t, np(ns, "cursed", 1))}}, false)
		if err == nil {
			change(t, s, cluster.Change{Delete: policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: "cursed"}})
		}
		return err != nil
	})
	_, err := s.Change(t.Context(), []cluster.Change{
		{Object: object(t, np(ns, "first", 1))}, {Object: object(t, np(ns, "cursed", 2))}, {Object: object(t, np(ns, "third", 3))},
	}, false)
	var failure *cluster.Failure
	if !errors.As(err, &failure) {
		t.Fatalf("got %v", err)
	}
	where := strings.Join(failure.Where, "\n")
	for _, want := range []string{"it is cursed", "done before: NetworkPolicy " + ns + "/first created", "not done: NetworkPolicy " + ns + "/cursed", "not done: NetworkPolicy " + ns + "/third"} {
		if !strings.Contains(where, want) {
			t.Errorf("%q is not said: %+v", want, failure)
		}
	}
	if _, err := s.Get(t.Context(), policy.Key{Kind: policy.KindNetworkPolicy, Namespace: ns, Name: "third"}); !errors.Is(err, cluster.ErrNotFound) {
		t.Errorf("the third was made: %v", err)
	}
}
