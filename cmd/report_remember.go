package cmd

import (
	"context"
	"reflect"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// How often a cluster is read for a report that is watched: its policies, which
// are few, and all the rest, which may be much. To list takes no more rights than
// a report does, and to watch would.
const (
	policiesEvery = 5 * time.Second
	restEvery     = time.Minute
)

// remembering is a cluster's store that remembers what was read for a while.
type remembering struct {
	cluster.Store
	mu    sync.Mutex // one reading at a time
	snap  *policy.Snapshot
	fault policy.Faults
	keys  []policy.Key
	lists map[listed]listing
	gets  map[policy.Key]getting
	until time.Time
}

type listed struct {
	kind      policy.Kind
	namespace string
}

type listing struct {
	list []*unstructured.Unstructured
	err  error
}

type getting struct {
	object *unstructured.Unstructured
	err    error
}

func remember(s cluster.Store) *remembering { return &remembering{Store: s} }

// forget has all be read anew. The caller holds r.mu.
func (r *remembering) forget() {
	r.snap, r.lists, r.gets = nil, map[listed]listing{}, map[policy.Key]getting{}
}

// Snapshot implements cluster.Store.
func (r *remembering) Snapshot(ctx context.Context) (*policy.Snapshot, policy.Faults, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.snap != nil && time.Now().Before(r.until) {
		return r.snap, r.fault, nil
	}
	r.forget()
	snap, faults, err := r.Store.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	if r.keys, err = r.Store.Keys(ctx); err != nil {
		return nil, nil, err
	}
	r.snap, r.fault, r.until = snap, faults, time.Now().Add(restEvery)
	return snap, faults, nil
}

// Keys implements cluster.Store.
func (r *remembering) Keys(ctx context.Context) ([]policy.Key, error) {
	if _, _, err := r.Snapshot(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.keys, nil
}

// List implements cluster.Store.
func (r *remembering) List(ctx context.Context, kind policy.Kind, namespace string) ([]*unstructured.Unstructured, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.lists[listed{kind, namespace}]
	if !ok {
		l.list, l.err = r.Store.List(ctx, kind, namespace)
		if ctx.Err() == nil && r.lists != nil {
			r.lists[listed{kind, namespace}] = l
		}
	}
	return l.list, l.err
}

// Get implements cluster.Store.
func (r *remembering) Get(ctx context.Context, key policy.Key) (*unstructured.Unstructured, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g, ok := r.gets[key]
	if !ok {
		g.object, g.err = r.Store.Get(ctx, key)
		if ctx.Err() == nil && r.gets != nil {
			r.gets[key] = g
		}
	}
	return g.object, g.err
}

// watch looks at the policies again and again, and calls poke when they have
// changed, until ctx ends.
func (r *remembering) watch(ctx context.Context, poke func()) error {
	few := cluster.Narrow(r.Store, orderKinds...)
	var before *policy.Snapshot
	for {
		r.mu.Lock()
		snap, _, err := few.Snapshot(ctx)
		if err == nil && before != nil && changedPolicies(before, snap) {
			r.forget()
			poke()
		}
		r.mu.Unlock()
		if err == nil { // else the report itself says what is wrong
			before = snap
		}
		if err := wait(ctx, policiesEvery, nil); err != nil {
			return err
		}
	}
}

func changedPolicies(a, b *policy.Snapshot) bool {
	return !reflect.DeepEqual(a.Policies, b.Policies) || !reflect.DeepEqual(a.Tiers, b.Tiers) || !reflect.DeepEqual(a.Namespaces, b.Namespaces)
}
