package calico

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// fake is an API in memory that has the rule of Calico up to 3.31 about names.
type fake struct {
	prefixed bool
	objects  map[policy.Key]*unstructured.Unstructured
	// log are the changes that were made, as text; fail refuses one of them.
	log  []string
	fail string
	// after is called after each change.
	after func()
	snap  *policy.Snapshot
}

func newFake(prefixed bool, docs ...string) *fake {
	f := &fake{prefixed: prefixed, objects: map[policy.Key]*unstructured.Unstructured{}}
	for _, d := range docs {
		u := object(d)
		f.objects[cluster.KeyOf(u)] = u
	}
	return f
}

// object reads "Kind [namespace/]name tier", and more of the spec as YAML.
func object(doc string) *unstructured.Unstructured {
	head, spec, _ := strings.Cut(doc, "\n")
	w := strings.Fields(head)
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "projectcalico.org/v3", "kind": w[0]}}
	if ns, name, ok := strings.Cut(w[1], "/"); ok {
		u.SetNamespace(ns)
		u.SetName(name)
	} else {
		u.SetName(w[1])
	}
	fields := map[string]any{}
	if err := yaml.Unmarshal([]byte(spec), &fields); err != nil {
		panic(err)
	}
	if len(w) > 2 {
		fields["tier"] = w[2]
	}
	if w[0] != "Tier" {
		u.Object["spec"] = fields
	}
	return u
}

func (f *fake) Get(_ context.Context, key policy.Key) (*unstructured.Unstructured, error) {
	if u := f.objects[key]; u != nil {
		return u.DeepCopy(), nil
	}
	return nil, fmt.Errorf("%s: %w", key, cluster.ErrNotFound)
}

func (f *fake) Keys(context.Context) ([]policy.Key, error) {
	var out []policy.Key
	for k := range f.objects {
		out = append(out, k)
	}
	slices.SortFunc(out, func(a, b policy.Key) int { return strings.Compare(a.String(), b.String()) })
	return out, nil
}

func (f *fake) List(ctx context.Context, kind policy.Kind, namespace string) ([]*unstructured.Unstructured, error) {
	var out []*unstructured.Unstructured
	keys, _ := f.Keys(ctx)
	for _, k := range keys {
		if k.Kind == kind && (namespace == "" || k.Namespace == namespace) {
			out = append(out, f.objects[k].DeepCopy())
		}
	}
	return out, nil
}

var errFake = errors.New("the server says no")

func (f *fake) Change(ctx context.Context, changes []cluster.Change, dryRun bool) ([]cluster.Result, error) {
	var out []cluster.Result
	for _, c := range changes {
		if err := ctx.Err(); err != nil {
			return out, err
		}
		r, err := f.change(c, dryRun)
		if err != nil {
			return out, err
		}
		out = append(out, r)
		if f.after != nil {
			f.after()
		}
	}
	return out, nil
}

func (f *fake) change(c cluster.Change, dryRun bool) (cluster.Result, error) {
	text := "delete " + c.Delete.String()
	key := c.Delete
	if c.Object != nil {
		key = cluster.KeyOf(c.Object)
		text = "write " + key.String() + " " + tierOf(c.Object)
		if spec, _ := yaml.Marshal(c.Object.Object["spec"]); strings.Contains(string(spec), "action") {
			for _, a := range []string{"Allow", "Deny", "Pass"} {
				text += strings.Repeat(" "+a, strings.Count(string(spec), "action: "+a))
			}
		}
	}
	old := f.objects[key]
	switch {
	case f.fail != "" && strings.HasPrefix(text, f.fail):
		return cluster.Result{}, errFake
	case c.Object == nil && old == nil:
		return cluster.Result{}, fmt.Errorf("%s: %w", key, cluster.ErrNotFound)
	case c.Object != nil && c.IfAbsent && old != nil:
		return cluster.Result{}, fmt.Errorf("%s: %w", key, cluster.ErrConflict)
	case c.Object != nil && f.prefixed && hasTierName(key.Kind) && tierOf(c.Object) != "default" && !strings.HasPrefix(key.Name, tierOf(c.Object)+"."):
		return cluster.Result{}, fmt.Errorf("%s: the name must begin with %s", key, tierOf(c.Object))
	case c.Object != nil && f.prefixed && old != nil && tierOf(old) != tierOf(c.Object):
		return cluster.Result{}, fmt.Errorf("%s: the tier can't change", key)
	}
	if dryRun {
		text = "dry " + text
	}
	f.log = append(f.log, text)
	out := cluster.Result{Key: key, Outcome: cluster.Created}
	switch {
	case c.Object == nil:
		out.Outcome = cluster.Deleted
	case old != nil:
		out.Outcome = cluster.Configured
	}
	if !dryRun {
		f.snap = nil
		delete(f.objects, key)
		if c.Object != nil {
			f.objects[key] = c.Object.DeepCopy()
		}
	}
	return out, nil
}

func (f *fake) Snapshot(ctx context.Context) (*policy.Snapshot, policy.Faults, error) {
	if f.snap != nil {
		return f.snap, nil, nil
	}
	var all []policy.Resource
	var faults policy.Faults
	keys, _ := f.Keys(ctx)
	for _, k := range keys {
		data, err := yaml.Marshal(f.objects[k].Object)
		if err != nil {
			return nil, nil, err
		}
		res, fs := policy.Decode("", data)
		all = append(all, res...)
		faults = append(faults, fs...)
	}
	snap, fs := policy.NewSnapshot(1, all, f.snap)
	f.snap = snap
	return snap, append(faults, fs...), nil
}

// Watch sends what there is, once.
func (f *fake) Watch(ctx context.Context) (<-chan cluster.State, error) {
	snap, faults, err := f.Snapshot(ctx)
	out := make(chan cluster.State, 1)
	out <- cluster.State{Snapshot: snap, Faults: faults}
	close(out)
	return out, err
}
