package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

// step is one change and how it is made.
type step struct {
	*core
	key  policy.Key
	res  Resource
	name string // on the server
	// object is the stored form of what is to be; nil for a deletion.
	object *unstructured.Unstructured
	// live is what is there, nil for nothing.
	live *unstructured.Unstructured
	// edits: object was read before, so it is changed only if it is still that.
	edits bool
	edit  edit
	// put: some fields can only be removed by writing the whole.
	put bool
	// left are fields of others that a manifest does not have: applying it
	// leaves them as they are.
	left  managed
	force bool
	// strict: a deletion is of what was read before, and of nothing newer.
	strict bool
}

// plan finds out how a change is to be made.
func (c *core) plan(ctx context.Context, change cluster.Change, force bool) (*step, error) {
	st := &step{core: c, key: change.Delete, force: force}
	gvk := cluster.GVK(change.Delete.Kind)
	tier := ""
	if change.Object != nil {
		st.key, gvk = cluster.KeyOf(change.Object), change.Object.GroupVersionKind()
		tier, _, _ = unstructured.NestedString(change.Object.Object, "spec", "tier")
		st.object = c.form.Stored(change.Object.DeepCopy())
		st.edits = st.object.GetResourceVersion() != ""
	}
	var err error
	if st.res, err = c.resource(ctx, st.key.Kind, gvk); err != nil {
		return nil, err
	}
	st.key.Namespace = c.home(st.res, st.key.Namespace)
	st.name = c.form.Name(st.key, tier)
	if err := st.read(ctx); err != nil {
		return nil, err
	}
	switch {
	case st.object == nil && st.live == nil:
		return nil, missing(st.key)
	case st.object == nil:
		return st, st.planDelete(change.Version)
	case change.IfAbsent && st.live != nil:
		return nil, fmt.Errorf("%s: %w: it exists already", st.key, cluster.ErrConflict)
	case st.edits && st.live == nil:
		return nil, st.deleted()
	case st.edits && st.live.GetResourceVersion() != st.object.GetResourceVersion():
		return nil, st.stale()
	case st.edits:
		return st, st.planEdit()
	case st.live != nil && known(st.key.Kind):
		st.planApply()
	}
	return st, nil
}

// planApply finds what of others would be left beside what a manifest says.
func (st *step) planApply() {
	var left [][]string
	for _, p := range editOf(st.live, st.object, nil).removed {
		if p[0] != "metadata" { // everybody may have labels of their own
			left = append(left, p)
		}
	}
	st.left = others(ownersOf(st.live), st.opts.Manager, left)
	st.put = st.force && len(st.left) > 0
}

// read reads what is there.
func (st *step) read(ctx context.Context) error {
	body, err := st.get(ctx, st.res.path(st.key.Namespace, st.name), nil)
	switch {
	case apierrors.IsNotFound(err):
		st.live = nil
		return nil
	case err != nil:
		return st.fail(st.request("get"), err)
	}
	st.live = &unstructured.Unstructured{}
	return st.live.UnmarshalJSON(body)
}

func (st *step) request(verb string) request {
	return request{verb: verb, resource: st.res, namespace: st.key.Namespace, name: st.name}
}

// stale is the conflict where somebody was faster.
func (st *step) stale() error {
	return fmt.Errorf("%s: %w: somebody has changed it since it was read", st.key, cluster.ErrConflict)
}

// deleted is the conflict where what was to be changed is gone.
func (st *step) deleted() error {
	return fmt.Errorf("%s: %w: it was deleted since it was read", st.key, cluster.ErrConflict)
}

// because is an error for users with a cause that they need not see.
type because struct {
	error
	cause error
}

func (b because) Unwrap() []error { return []error{b.error, b.cause} }

// planDelete: what was handed out is deleted only as it was then, and what was read
// as a version only as that.
func (st *step) planDelete(version string) error {
	st.mu.Lock()
	g, ok := st.given[st.key]
	st.mu.Unlock()
	if ok && (g.uid != string(st.live.GetUID()) || g.version != st.live.GetResourceVersion()) {
		return st.stale()
	}
	if version != "" && version != st.live.GetResourceVersion() {
		return st.stale()
	}
	st.strict = ok || version != ""
	return nil
}

// planEdit finds the fields that change, and refuses where others manage what
// is to go: applying leaves such fields as they are.
func (st *step) planEdit() error {
	owners := ownersOf(st.live)
	var mine []owner
	for _, o := range owners {
		if o.manager == st.opts.Manager && o.applies {
			mine = append(mine, o)
		}
	}
	st.edit = editOf(st.live, st.object, mine)
	st.put = !lets(owners, st.opts.Manager, st.edit.removed)
	if !st.put || st.force {
		return nil
	}
	if m := others(owners, st.opts.Manager, append(st.edit.changed, st.edit.removed...)); len(m) > 0 {
		return m.fail(st.key.String(), nil)
	}
	return nil
}

// idle says that an edit changes nothing.
func (st *step) idle() bool {
	return st.edits && len(st.edit.changed)+len(st.edit.removed) == 0
}

// expected is the result as far as it can be told without the server.
func (st *step) expected() cluster.Result {
	r := cluster.Result{Key: st.key, Outcome: cluster.Configured}
	if st.live != nil {
		r.Version = st.live.GetResourceVersion()
	}
	switch {
	case st.object == nil:
		r.Outcome = cluster.Deleted
	case st.live == nil:
		r.Outcome = cluster.Created
	case st.idle():
		r.Outcome = cluster.Unchanged
	case !st.edits:
		if e := editOf(st.live, st.object, nil); len(e.changed) == 0 {
			r.Outcome = cluster.Unchanged
		}
	}
	return r
}

// attempts is how often a change is tried again where somebody else's change
// got between, and that does no harm.
const attempts = 4

// do makes the change, or lets the server try it.
func (st *step) do(ctx context.Context, try bool) (cluster.Result, error) {
	for n := 1; ; n++ {
		r, err := st.once(ctx, try)
		if err == nil {
			if !try {
				st.settled(r)
			}
			return r, nil
		}
		// Who has a field has it the next time as well.
		if n == attempts || !apierrors.IsConflict(err) || len(conflicts(err)) > 0 || !st.again(ctx) {
			return r, err
		}
	}
}

// again says whether a change that met another one may be tried again.
func (st *step) again(ctx context.Context) bool {
	before := st.live
	if err := st.read(ctx); err != nil {
		return false
	}
	switch {
	case st.put && st.live == nil:
		return false // there is nothing to take anything out of
	case st.object != nil && !st.edits:
		return before != nil || st.live == nil // it was to be made and is there now: ask the user
	case st.live == nil || before == nil || st.live.GetUID() != before.GetUID():
		return false
	case st.object == nil && !st.strict:
		return true
	}
	// Somebody wrote to it: only its status, say.
	return cluster.SameValue(content(before), content(st.live))
}

// settled notes what is there after the change.
func (st *step) settled(r cluster.Result) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if g, ok := st.given[st.key]; ok && st.object != nil {
		st.given[st.key] = given{g.uid, r.Version}
	} else {
		delete(st.given, st.key)
	}
}
