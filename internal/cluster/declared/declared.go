// Package declared reads what a cluster or a directory of manifests declares
// beside the resources that verdicts depend on: when workloads ran last, and
// since when there are policies. It is for reports, which go without what the
// user may not read.
package declared

import (
	"context"
	"errors"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/internal/cluster"
	"github.com/netpol-project/netpol/internal/cluster/kube"
	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/stage"
)

// kinds are what declares pods that may not run now, or do not run for long.
// ReplicaSets are left out: those that nobody owns are rare, and a cluster has
// many old ones.
var kinds = []policy.Kind{policy.KindCronJob, policy.KindDaemonSet, policy.KindDeployment, policy.KindJob, policy.KindStatefulSet}

// Workloads are those of some namespaces, of all if none is given. missing names
// the kinds that the user may not read, as RBAC does, sorted.
func Workloads(ctx context.Context, store cluster.Store, namespaces []string) (out []stage.Declared, missing []string, err error) {
	if len(namespaces) == 0 {
		namespaces = []string{""}
	}
	for _, kind := range kinds {
		for _, ns := range namespaces {
			list, err := store.List(ctx, kind, ns)
			switch {
			case apierrors.IsForbidden(err):
				res, _ := kube.ResourceOf(kind)
				missing = append(missing, res.String())
			case errors.Is(err, cluster.ErrNotFound):
			case err != nil:
				return nil, nil, err
			}
			for _, u := range list {
				out = append(out, read(kind, u))
			}
			if err != nil {
				break // not in the next namespace either, or said already
			}
		}
	}
	return out, missing, nil
}

func read(kind policy.Kind, u *unstructured.Unstructured) stage.Declared {
	d := stage.Declared{
		Workload: policy.Workload{Kind: kind, Namespace: u.GetNamespace(), Name: u.GetName()},
		Created:  u.GetCreationTimestamp().Time,
		Owned:    metav1.GetControllerOf(u) != nil,
	}
	if d.Namespace == "" {
		d.Namespace = "default" // as kubectl takes it
	}
	switch kind {
	case policy.KindCronJob:
		d.Schedule, _, _ = unstructured.NestedString(u.Object, "spec", "schedule")
		d.Suspended, _, _ = unstructured.NestedBool(u.Object, "spec", "suspend")
		d.Started = at(u, "lastScheduleTime")
		d.Ended = at(u, "lastSuccessfulTime")
	case policy.KindJob:
		d.Suspended, _, _ = unstructured.NestedBool(u.Object, "spec", "suspend")
		d.Started = at(u, "startTime")
		d.Ended = jobEnd(u)
	case policy.KindDeployment, policy.KindStatefulSet:
		if n, ok := number(u, "spec", "replicas"); ok {
			d.Replicas = &n
		}
	}
	return d
}

// number reads a number, which YAML and JSON decode to different types.
func number(u *unstructured.Unstructured, path ...string) (int64, bool) {
	v, ok, _ := unstructured.NestedFieldNoCopy(u.Object, path...)
	switch n := v.(type) {
	case int64:
		return n, ok
	case float64:
		return int64(n), ok
	case int:
		return int64(n), ok
	}
	return 0, false
}

// at reads a time of the status; zero if there is none.
func at(u *unstructured.Unstructured, field string) time.Time {
	text, _, _ := unstructured.NestedString(u.Object, "status", field)
	t, _ := time.Parse(time.RFC3339, text) // zero if there is none
	return t
}

// jobEnd is when a Job completed or failed.
func jobEnd(u *unstructured.Unstructured) time.Time {
	if done := at(u, "completionTime"); !done.IsZero() {
		return done
	}
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		m, ok := c.(map[string]any)
		if !ok || m["type"] != "Failed" || m["status"] != "True" {
			continue
		}
		text, _ := m["lastTransitionTime"].(string)
		t, _ := time.Parse(time.RFC3339, text) // zero if it does not say
		return t
	}
	return time.Time{}
}

// Changed is when each of some policies was made, as far as that is known: by
// the API server's time; with files, by the time that the file was written,
// which is the newest there.
func Changed(ctx context.Context, store cluster.Store, policies []*policy.Policy, files bool) (map[policy.Key]time.Time, error) {
	out := map[policy.Key]time.Time{}
	for _, p := range policies {
		if p.Origin.File != "" {
			if info, err := os.Stat(p.Origin.File); files && err == nil {
				out[p.Key] = info.ModTime()
			}
			continue
		}
		u, err := store.Get(ctx, p.Key)
		if errors.Is(err, cluster.ErrNotFound) || apierrors.IsForbidden(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if made := u.GetCreationTimestamp(); !made.IsZero() {
			out[p.Key] = made.Time
		}
	}
	return out, nil
}
