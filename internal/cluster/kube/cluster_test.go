package kube_test

import (
	"errors"
	"testing"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
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
