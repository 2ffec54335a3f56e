package install

import (
	"context"
	"fmt"
	"reflect"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
)

// ApplyOptions say how objects are applied.
type ApplyOptions struct {
	// DryRun has the server check everything and write nothing.
	DryRun bool
	// ForceConflicts takes over fields that others manage.
	ForceConflicts bool
	// Within bounds the wait for the API server to serve new kinds.
	Within time.Duration
	// Tell gets each result as soon as it is known.
	Tell func(Result)
}

// Result is what became of one object.
type Result struct {
	Object  *unstructured.Unstructured
	Outcome cluster.Outcome
	// Unchecked: with DryRun the server could not look at it, since what it
	// needs is not there yet.
	Unchecked bool
}

// Title is the object as kubectl names it.
func (r Result) Title() string { return title(r.Object) }

// Apply applies objects in their order. It stops at the first that fails; what
// was applied stays, and the same again goes on from there.
func (c *Client) Apply(ctx context.Context, objects []*unstructured.Unstructured, opts ApplyOptions) error {
	missing := map[string]bool{} // of a dry run: namespaces and kinds that would be there
	var fresh []*unstructured.Unstructured
	for _, u := range objects {
		crd := u.GetKind() == "CustomResourceDefinition"
		if !crd && len(fresh) > 0 && !opts.DryRun {
			if err := c.established(ctx, fresh, opts.Within); err != nil {
				return err
			}
			fresh = nil
		}
		r := Result{Object: u, Outcome: cluster.Created, Unchecked: true}
		if !missing["Namespace "+u.GetNamespace()] && !missing[u.GroupVersionKind().GroupKind().String()] {
			var err error
			if r, err = c.apply(ctx, u, opts); err != nil {
				return err
			}
		}
		if crd {
			fresh = append(fresh, u)
		}
		if opts.DryRun && r.Outcome == cluster.Created {
			switch u.GetKind() {
			case "Namespace":
				missing["Namespace "+u.GetName()] = true
			case "CustomResourceDefinition":
				missing[kindOf(u)] = true
			}
		}
		opts.Tell(r)
	}
	return nil
}

// kindOf is the kind that a CustomResourceDefinition defines.
func kindOf(crd *unstructured.Unstructured) string {
	kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
	group, _, _ := unstructured.NestedString(crd.Object, "spec", "group")
	return kind + "." + group
}

func (c *Client) apply(ctx context.Context, u *unstructured.Unstructured, opts ApplyOptions) (Result, error) {
	r := Result{Object: u}
	resource, err := c.at(u)
	if err != nil {
		return r, err
	}
	old, err := resource.Get(ctx, u.GetName(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		old = nil
	case err != nil:
		return r, c.fail("get "+title(u), err)
	case u.GetKind() == "Namespace" && old.GetDeletionTimestamp() != nil:
		return r, &cluster.Failure{What: "namespace " + u.GetName() + " is being deleted", Try: "the same in a minute"}
	}
	data, err := u.MarshalJSON()
	if err != nil {
		return r, err
	}
	patch := metav1.PatchOptions{FieldManager: FieldManager, Force: &opts.ForceConflicts, FieldValidation: metav1.FieldValidationStrict}
	if opts.DryRun {
		patch.DryRun = []string{metav1.DryRunAll}
	}
	var now *unstructured.Unstructured
	for end := time.Now().Add(opts.Within); ; {
		now, err = resource.Patch(ctx, u.GetName(), types.ApplyPatchType, data, patch)
		// A kind is served a moment after it is established.
		if old != nil || !apierrors.IsNotFound(err) || time.Now().After(end) || opts.DryRun {
			break
		}
		if err := c.sleep(ctx); err != nil {
			return r, err
		}
	}
	switch {
	case err != nil:
		return r, c.applyError(u, err)
	case old == nil:
		r.Outcome = cluster.Created
	case same(old, now):
		r.Outcome = cluster.Unchanged
	default:
		r.Outcome = cluster.Configured
	}
	return r, nil
}

// same compares what the server has before and after, without what it writes
// itself.
func same(a, b *unstructured.Unstructured) bool {
	strip := func(u *unstructured.Unstructured) map[string]any {
		u = u.DeepCopy()
		u.SetManagedFields(nil)
		u.SetResourceVersion("")
		u.SetGeneration(0)
		return u.Object
	}
	return reflect.DeepEqual(strip(a), strip(b))
}

// applyError names other managers in a conflict.
func (c *Client) applyError(u *unstructured.Unstructured, err error) error {
	if f := kube.FieldConflict(title(u), "netpol install --force-conflicts", err); f != nil {
		return f
	}
	return c.fail("apply "+title(u), err)
}

// established waits until the API server serves new kinds.
func (c *Client) established(ctx context.Context, list []*unstructured.Unstructured, within time.Duration) error {
	end := time.Now().Add(within)
	for _, u := range list {
		for {
			now, err := c.get(ctx, crds, "", u.GetName())
			if err != nil {
				return err
			}
			if now != nil && condition(now, "Established") == "True" {
				break
			}
			if time.Now().After(end) {
				f := &cluster.Failure{What: fmt.Sprintf("the API server does not serve %s after %s", u.GetName(), within),
					Try: c.kubectl("describe crd " + u.GetName())}
				if now != nil && condition(now, "NamesAccepted") == "False" {
					f.Where = []string{"another CustomResourceDefinition has its names"}
				}
				return f
			}
			if err := c.sleep(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// condition is the status of a condition of an object; empty if it has none.
func condition(u *unstructured.Unstructured, name string) string {
	list, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, item := range list {
		c, _ := item.(map[string]any)
		if c["type"] == name {
			s, _ := c["status"].(string)
			return s
		}
	}
	return ""
}
