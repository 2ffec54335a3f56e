package calico

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// Named is a store in which policies have the names that users give them,
// whatever the API of that version of Calico calls them. What Calico lists a
// second time, as its own view of Kubernetes' policies, is left out.
//
// A policy whose tier changes, where the API has the tier in its name, is made
// anew in the new tier before the old one is deleted: see moves.
//
// It is a cluster.Server if the store is one.
func Named(store cluster.Store, version Version) cluster.Store {
	n := &named{Store: store, naming: version.Naming(), version: version, names: &names{}}
	if server, ok := store.(cluster.Server); ok {
		return &namedServer{named: n, server: server}
	}
	return n
}

type named struct {
	cluster.Store
	naming  Naming
	version Version
	// nameless: it reads nothing whose name has to be found.
	nameless bool
	*names
}

// namedServer is Named of an API server.
type namedServer struct {
	*named
	server cluster.Server
}

// Only implements cluster.Server. Names need all policies, so it is all of them or
// none.
func (s *namedServer) Only(kinds ...policy.Kind) cluster.Store {
	n := &named{naming: s.naming, version: s.version, names: s.names}
	if slices.ContainsFunc(kinds, hasTierName) {
		kinds = slices.Concat(kinds, namedKinds())
		slices.Sort(kinds)
		kinds = slices.Compact(kinds)
	} else {
		n.nameless = true
	}
	n.Store = s.server.Only(kinds...)
	if server, ok := n.Store.(cluster.Server); ok {
		return &namedServer{named: n, server: server}
	}
	return n
}

// Get implements cluster.Store.
func (s *named) Get(ctx context.Context, key policy.Key) (*unstructured.Unstructured, error) {
	if !hasTierName(key.Kind) {
		return s.Store.Get(ctx, key)
	}
	t, err := s.lookup(ctx)
	if err != nil {
		return nil, err
	}
	api := key
	if m, ok := t.find(key, ""); ok {
		api = m.key
	}
	u, err := s.Store.Get(ctx, api)
	if err != nil {
		return nil, err
	}
	return renameObject(u, t.Shown(api).Name), nil
}

// Keys implements cluster.Store.
func (s *named) Keys(ctx context.Context) ([]policy.Key, error) {
	keys, err := s.Store.Keys(ctx)
	if err != nil || s.nameless {
		return keys, err
	}
	t, err := s.lookup(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]policy.Key, 0, len(keys))
	for _, k := range keys {
		if !isView(k) {
			out = append(out, t.Shown(k))
		}
	}
	return out, nil
}

// List implements cluster.Store.
func (s *named) List(ctx context.Context, kind policy.Kind, namespace string) ([]*unstructured.Unstructured, error) {
	objects, err := s.Store.List(ctx, kind, namespace)
	if err != nil || !hasTierName(kind) {
		return objects, err
	}
	t, err := s.lookup(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]*unstructured.Unstructured, 0, len(objects))
	for _, u := range objects {
		if key := cluster.KeyOf(u); !isView(key) {
			out = append(out, renameObject(u, t.Shown(key).Name))
		}
	}
	slices.SortFunc(out, func(a, b *unstructured.Unstructured) int {
		return cmp.Or(strings.Compare(a.GetNamespace(), b.GetNamespace()), strings.Compare(a.GetName(), b.GetName()))
	})
	return out, nil
}

// Snapshot implements cluster.Store.
func (s *named) Snapshot(ctx context.Context) (*policy.Snapshot, policy.Faults, error) {
	snap, faults, err := s.Store.Snapshot(ctx)
	if err != nil || s.nameless {
		return snap, faults, err
	}
	keys, err := s.Store.Keys(ctx)
	if err != nil {
		return nil, nil, err
	}
	snap, t := s.rename(snap, keys)
	return snap, t.faults(faults), nil
}

// Watch implements cluster.Store.
func (s *named) Watch(ctx context.Context) (<-chan cluster.State, error) {
	ctx, cancel := context.WithCancel(ctx)
	in, err := s.Store.Watch(ctx)
	if err != nil {
		cancel()
		return nil, err
	}
	out := make(chan cluster.State, 1)
	go func() {
		defer cancel()
		defer close(out)
		for state := range in {
			keys := make([]policy.Key, 0, len(state.Faults))
			for i := range state.Faults {
				keys = append(keys, state.Faults[i].Key)
			}
			snap, t := s.rename(state.Snapshot, keys)
			state = cluster.State{Snapshot: snap, Faults: t.faults(state.Faults), Versions: t.versions(state.Versions)}
			select {
			case <-out: // only the newest
			default:
			}
			out <- state // never blocks: it is the only sender
		}
	}()
	return out, nil
}
