package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/pkg/policy"
)

func (st *step) once(ctx context.Context, try bool) (cluster.Result, error) {
	query := params{}
	if try {
		query["dryRun"] = "All"
	}
	switch {
	case st.idle():
		return st.expected(), nil
	case st.object == nil:
		return st.delete(ctx, query)
	case st.put:
		return st.replace(ctx, query)
	case len(st.left) > 0:
		return st.applyBeside(ctx, query)
	}
	r, _, err := st.apply(ctx, query)
	return r, err
}

// applyBeside applies a manifest where others have fields that it does not
// have, if the outcome means what the manifest means.
func (st *step) applyBeside(ctx context.Context, query params) (cluster.Result, error) {
	r, body, err := st.apply(ctx, params{"dryRun": "All"})
	if err != nil {
		return r, err
	}
	got := &unstructured.Unstructured{}
	if err := got.UnmarshalJSON(body); err != nil {
		return r, err
	}
	want, _ := policy.ValidateObject(st.form.Public(st.object.DeepCopy()))
	if have, _ := policy.ValidateObject(st.form.Public(got)); !reflect.DeepEqual(have, want) {
		return r, st.left.fail(st.key.String(), nil)
	}
	r, _, err = st.apply(ctx, query)
	return r, err
}

// delete removes what is there, as it is there.
func (st *step) delete(ctx context.Context, query params) (cluster.Result, error) {
	r := st.expected()
	options := map[string]any{"kind": "DeleteOptions", "apiVersion": "v1",
		"preconditions": map[string]any{"uid": string(st.live.GetUID()), "resourceVersion": st.live.GetResourceVersion()}}
	if query["dryRun"] != "" {
		options["dryRun"] = []string{"All"}
	}
	data, err := json.Marshal(options)
	if err != nil {
		return r, err
	}
	body, _, err := st.send(ctx, st.client.Delete().AbsPath(st.res.path(st.key.Namespace, st.name)...).Body(data), nil)
	switch {
	case apierrors.IsNotFound(err):
		return r, missing(st.key)
	case apierrors.IsConflict(err):
		return r, because{st.stale(), err}
	case err != nil:
		return r, st.fail(st.request("delete"), err)
	}
	if left := readObject(body); left.Metadata.DeletionTimestamp != nil && left.Metadata.UID != "" && query["dryRun"] == "" {
		st.notes.once("note: " + st.key.String() + " goes when its finalizers are done")
	}
	return r, nil
}

// apply writes by server-side apply.
func (st *step) apply(ctx context.Context, query params) (cluster.Result, []byte, error) {
	data, err := st.config()
	if err != nil {
		return cluster.Result{Key: st.key}, nil, err
	}
	query["fieldManager"], query["fieldValidation"] = st.opts.Manager, "Strict"
	query["force"] = fmt.Sprint(st.force)
	request := func() ([]byte, bool, error) {
		return st.send(ctx, st.client.Patch(types.ApplyPatchType).AbsPath(st.res.path(st.key.Namespace, st.name)...).Body(data), query)
	}
	body, created, err := request()
	if m := conflicts(err); len(m) > 0 {
		if len(m) == 1 && m[st.opts.Manager] != nil {
			// We have these fields, by an update that we made.
			query["force"] = "true"
			body, created, err = request()
		} else {
			return cluster.Result{Key: st.key}, nil, m.fail(st.key.String(), err)
		}
	}
	r, err := st.written(body, created, "patch", err)
	return r, body, err
}

// replace writes the whole object, in place of what was read.
func (st *step) replace(ctx context.Context, query params) (cluster.Result, error) {
	u := st.live.DeepCopy()
	for k := range content(st.live) {
		if k != "metadata" {
			delete(u.Object, k)
		}
	}
	for k, v := range content(st.object) {
		if k != "metadata" {
			u.Object[k] = v
		}
	}
	labels, notes := st.object.GetLabels(), st.object.GetAnnotations()
	if !st.edits { // a manifest leaves those of others alone
		labels, notes = merged(st.live.GetLabels(), labels), merged(st.live.GetAnnotations(), notes)
	}
	u.SetLabels(labels)
	u.SetAnnotations(notes)
	data, err := u.MarshalJSON()
	if err != nil {
		return cluster.Result{Key: st.key}, err
	}
	query["fieldManager"], query["fieldValidation"] = st.opts.Manager, "Strict"
	body, created, err := st.send(ctx, st.client.Put().AbsPath(st.res.path(st.key.Namespace, st.name)...).Body(data), query)
	return st.written(body, created, "update", err)
}

func merged(old, fresh map[string]string) map[string]string {
	out := maps.Clone(old)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, fresh)
	return out
}

// written is the result of a write.
func (st *step) written(body []byte, created bool, verb string, err error) (cluster.Result, error) {
	r := cluster.Result{Key: st.key, Outcome: cluster.Configured}
	switch {
	case apierrors.IsNotFound(err) && st.put:
		return r, st.deleted()
	case apierrors.IsNotFound(err):
		return r, st.nowhere(verb, err)
	case apierrors.IsConflict(err) && st.live == nil:
		return r, because{fmt.Errorf("%s: %w: it exists already", st.key, cluster.ErrConflict), err}
	case apierrors.IsConflict(err):
		return r, because{st.stale(), err}
	case err != nil:
		return r, st.fail(st.request(verb), err)
	}
	after := &unstructured.Unstructured{}
	if err := after.UnmarshalJSON(body); err != nil {
		return r, fmt.Errorf("%s: %w", st.key, err)
	}
	r.Version = after.GetResourceVersion()
	switch {
	case created:
		r.Outcome = cluster.Created
	case st.live == nil || r.Version != st.live.GetResourceVersion():
	case cluster.SameValue(content(after), content(st.live)): // a trial leaves the version as it is
		r.Outcome = cluster.Unchanged
	}
	return r, nil
}

// nowhere is the error for a write to a namespace or an API that there is not.
func (st *step) nowhere(verb string, err error) error {
	var status *apierrors.StatusError
	if errors.As(err, &status) && status.ErrStatus.Details != nil && status.ErrStatus.Details.Kind == "namespaces" {
		return &cluster.Failure{What: "no namespace " + st.key.Namespace + ", so " + st.key.String() + " can't be written", Try: "kubectl create namespace " + st.key.Namespace, Err: err}
	}
	return &cluster.Failure{What: "the API server does not know " + st.res.String() + ", so " + st.key.String() + " can't be written",
		Try: "netpol install, or " + st.kubectl("api-resources --api-group="+st.res.Group), Err: err}
}

// none is a resourceVersion that no object has: what is applied with it is
// made, or, if there is one of its name, refused.
const none = "1"

// config is the body of an apply request.
func (st *step) config() ([]byte, error) {
	out := map[string]any{}
	meta := map[string]any{}
	if st.edits {
		for k, v := range st.edit.config {
			out[k] = v
		}
		if m, ok := st.edit.config["metadata"].(map[string]any); ok {
			meta = m
		}
		meta["uid"], meta["resourceVersion"] = string(st.live.GetUID()), st.live.GetResourceVersion()
	} else {
		for k, v := range st.object.Object {
			if k != "status" {
				out[k] = v
			}
		}
		given, _ := st.object.Object["metadata"].(map[string]any)
		for k, v := range given {
			switch k {
			case "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "managedFields", "selfLink", "uid":
			default:
				meta[k] = v
			}
		}
		if st.live == nil {
			meta["resourceVersion"] = none
		}
	}
	out["apiVersion"], out["kind"] = st.object.GetAPIVersion(), st.object.GetKind()
	meta["name"] = st.name
	if st.key.Namespace != "" {
		meta["namespace"] = st.key.Namespace
	}
	out["metadata"] = meta
	var b bytes.Buffer
	err := json.NewEncoder(&b).Encode(out)
	return b.Bytes(), err
}
