// Package stage is the life of a staged policy: what staging, enforcing and
// unstaging change, and what enforcing would do to traffic that was seen.
//
// It is pure: it reads resources and flows that it is handed, and returns the
// edits to make. It writes nothing and asks nobody.
package stage

import (
	"errors"
	"fmt"
	"maps"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// APIVersion is the API group and version of the policies made here.
const APIVersion = "projectcalico.org/v3"

// Errors that callers tell apart with errors.Is.
var (
	// ErrIgnored: the staged policy says stagedAction Ignore, so there is
	// nothing to enforce (S27).
	ErrIgnored = errors.New("its stagedAction is Ignore")
	// ErrNothingToDelete: stagedAction Delete, but no such policy is enforced.
	ErrNothingToDelete = errors.New("its stagedAction is Delete, but no policy of that name is enforced")
	// ErrNotStageable: there is no staged form of this kind.
	ErrNotStageable = errors.New("there is no staged form of this kind")
	// ErrNotDefaultDeny: a policy of that name exists and is something else.
	ErrNotDefaultDeny = errors.New("a policy of that name exists and is not a default-deny")
	// ErrTooLong: the namespaces do not fit into one selector.
	ErrTooLong = errors.New("the namespaceSelector is too long")
)

// Edit is one change to make: Object is created or replaced, or, where it is
// nil, Delete is removed. Edits are to be made in order.
type Edit struct {
	Object *unstructured.Unstructured
	Delete policy.Key
	// Version is the resourceVersion of what is to be deleted, where it is to go
	// only as it was read.
	Version string
}

// stagedKind is the staged form of an enforced kind, "" if there is none.
func stagedKind(k policy.Kind) policy.Kind {
	switch k {
	case policy.KindNetworkPolicy, policy.KindStagedNetworkPolicy:
		return policy.KindStagedNetworkPolicy
	case policy.KindGlobalNetworkPolicy, policy.KindStagedGlobalNetworkPolicy:
		return policy.KindStagedGlobalNetworkPolicy
	case policy.KindKubernetesNetworkPolicy, policy.KindStagedKubernetesNetworkPolicy:
		return policy.KindStagedKubernetesNetworkPolicy
	}
	return ""
}

// kubernetesAPI is the API of the policies that Kubernetes has itself.
const kubernetesAPI = "networking.k8s.io/v1"

// kindOf is the kind of an object as the model calls it, "" for one of another
// API.
func kindOf(u *unstructured.Unstructured) policy.Kind {
	switch {
	case u.GetAPIVersion() == kubernetesAPI && u.GetKind() == string(policy.KindNetworkPolicy):
		return policy.KindKubernetesNetworkPolicy
	case u.GroupVersionKind().Group == "projectcalico.org":
		return policy.Kind(u.GetKind())
	}
	return ""
}

// Twin is the key of the staged policy for an enforced one and the other way
// round; ok is false where the kind has no twin.
func Twin(k policy.Key) (twin policy.Key, ok bool) {
	if k.Kind.Staged() {
		k.Kind = k.Kind.Enforced()
		return k, true
	}
	k.Kind = stagedKind(k.Kind)
	return k, k.Kind != ""
}

// Stage makes the staged form of a policy, to be edited and looked at before
// it is enforced. A policy that is staged already is returned as it is.
func Stage(enforced *unstructured.Unstructured, action policy.StagedAction) (*unstructured.Unstructured, error) {
	kind := stagedKind(kindOf(enforced))
	if kind == "" {
		return nil, fmt.Errorf("%s %s: %w", enforced.GetKind(), enforced.GetName(), ErrNotStageable)
	}
	if kindOf(enforced).Staged() {
		return enforced, nil
	}
	out := bare(enforced, kind)
	if action == policy.StagedDelete {
		// A deletion says nothing but which policy goes, and its tier.
		spec := map[string]any{"stagedAction": string(action)}
		if tier, ok, _ := unstructured.NestedString(enforced.Object, "spec", "tier"); ok {
			spec["tier"] = tier
		}
		out.Object["spec"] = spec
		return out, nil
	}
	if spec, ok := out.Object["spec"].(map[string]any); ok {
		spec["stagedAction"] = string(action)
	}
	return out, nil
}

// Enforce is what enforcing a staged policy changes. enforced is the policy of
// the same kind, namespace and name that is enforced now, nil if none is. The
// enforced policy is written before the staged one goes, so that a stop in
// between leaves both, which is no worse than before.
func Enforce(staged, enforced *unstructured.Unstructured) ([]Edit, error) {
	key := keyOf(staged)
	twin, _ := Twin(key)
	gone := Edit{Delete: key}
	switch action(staged) {
	case policy.StagedIgnore:
		return nil, fmt.Errorf("%s: %w", key, ErrIgnored)
	case policy.StagedDelete:
		if enforced == nil {
			return nil, fmt.Errorf("%s: %w", key, ErrNothingToDelete)
		}
		return []Edit{{Delete: twin}, gone}, nil
	}
	out := bare(staged, twin.Kind)
	unstructured.RemoveNestedField(out.Object, "spec", "stagedAction")
	if enforced != nil {
		keepMetadata(out, enforced)
	}
	return []Edit{{Object: out}, gone}, nil
}

// Unenforce is what turning an enforced policy back into a staged one changes.
// The staged one is written first, so that a stop in between leaves both, which
// stages what is enforced and so changes nothing.
func Unenforce(enforced *unstructured.Unstructured) ([]Edit, error) {
	staged, err := Stage(enforced, policy.StagedSet)
	if err != nil {
		return nil, err
	}
	return []Edit{{Object: staged}, {Delete: policy.Key{Kind: kindOf(enforced), Namespace: enforced.GetNamespace(), Name: enforced.GetName()}}}, nil
}

// Unstage is what taking a staged policy back changes.
func Unstage(staged *unstructured.Unstructured) []Edit {
	return []Edit{{Delete: keyOf(staged)}}
}

// action is a staged policy's action, Set where none is given.
func action(staged *unstructured.Unstructured) policy.StagedAction {
	a, _, _ := unstructured.NestedString(staged.Object, "spec", "stagedAction")
	if a == "" {
		return policy.StagedSet
	}
	return policy.StagedAction(a)
}

func keyOf(u *unstructured.Unstructured) policy.Key {
	return policy.Key{Kind: policy.Kind(u.GetKind()), Namespace: u.GetNamespace(), Name: u.GetName()}
}

// bare is a copy of u as another kind, without what belongs to u's own life
// on a server: versions, owners, who wrote it.
func bare(u *unstructured.Unstructured, kind policy.Kind) *unstructured.Unstructured {
	u = u.DeepCopy()
	out := &unstructured.Unstructured{Object: map[string]any{}}
	out.SetAPIVersion(APIVersion)
	out.SetKind(string(kind))
	if kind == policy.KindKubernetesNetworkPolicy {
		out.SetAPIVersion(kubernetesAPI)
		out.SetKind(string(policy.KindNetworkPolicy))
	}
	out.SetName(u.GetName())
	if ns := u.GetNamespace(); ns != "" {
		out.SetNamespace(ns)
	}
	if labels := u.GetLabels(); len(labels) > 0 {
		out.SetLabels(labels)
	}
	notes := withoutTrial(u.GetAnnotations())
	// kubectl's copy of what was applied would be of the other kind, and the past
	// is that of one policy alone.
	for _, name := range [...]string{"kubectl.kubernetes.io/last-applied-configuration", noteOfRevision, NoteHistory} {
		delete(notes, name)
	}
	if len(notes) > 0 {
		out.SetAnnotations(notes)
	}
	if spec, ok := u.Object["spec"]; ok {
		out.Object["spec"] = spec
	}
	return out
}

// keepMetadata gives out the labels and annotations of old that it does not
// set itself: others may rely on them. It takes over old's resourceVersion, so
// that a change that somebody makes to it meanwhile is not lost.
func keepMetadata(out, old *unstructured.Unstructured) {
	if v := old.GetResourceVersion(); v != "" {
		out.SetResourceVersion(v)
	}
	if merged := merge(old.GetLabels(), out.GetLabels()); len(merged) > 0 {
		out.SetLabels(merged)
	}
	if merged := merge(old.GetAnnotations(), out.GetAnnotations()); len(merged) > 0 {
		out.SetAnnotations(merged)
	}
}

func merge(old, fresh map[string]string) map[string]string {
	out := maps.Clone(old)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, fresh)
	return out
}
