package stage

import (
	"fmt"
	"maps"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// TakeBack is what undoes a trial: the policy gets its former spec, or goes where
// there was none. Labels and annotations stay as they are. The trial must be the
// one that object is on. by is who does so and why; its Revision is the trial's.
func TakeBack(object *unstructured.Unstructured, id TrialID, by Revert) (Edit, error) {
	p := TrialOf(object)
	if now, ok := TrialIDOf(p); !ok || now != id {
		return Edit{}, fmt.Errorf("%s: %w", keyOf(object), ErrNoTrial)
	}
	if p.Trial.Previous == nil {
		return Edit{Delete: id.Key, Version: object.GetResourceVersion()}, nil
	}
	spec, err := fromCanonical(object.GetAnnotations()[policy.NotePrevious])
	if err != nil {
		return Edit{}, fmt.Errorf("%s: %w", id.Key, err)
	}
	out := object.DeepCopy()
	out.Object["spec"] = spec
	notes := withoutTrial(out.GetAnnotations())
	notes[policy.NoteRevision] = strconv.FormatUint(id.Revision+1, 10)
	notes[policy.NoteReverted] = strconv.FormatUint(id.Revision, 10)
	if notes[policy.NoteRevertedBy], err = by.of(id.Revision).note(); err != nil {
		return Edit{}, fmt.Errorf("%s: %w", id.Key, err)
	}
	out.SetAnnotations(notes)
	return Edit{Object: out}, nil
}

// Reverted is the revision of a policy that was taken back last, unless something
// was enforced since; 0 if none was.
func Reverted(u *unstructured.Unstructured) uint64 {
	n, err := strconv.ParseUint(u.GetAnnotations()[policy.NoteReverted], 10, 63)
	if err != nil || n+1 != revisionOf(u) {
		return 0
	}
	return n
}

// revisionOf is how often netpol has changed a policy; 0 if that is not known.
func revisionOf(u *unstructured.Unstructured) uint64 {
	if u == nil {
		return 0
	}
	n, err := strconv.ParseUint(u.GetAnnotations()[policy.NoteRevision], 10, 63)
	if err != nil {
		return 0
	}
	return n
}

// withoutTrial are annotations without those of a trial.
func withoutTrial(notes map[string]string) map[string]string {
	out := maps.Clone(notes)
	if out == nil {
		out = map[string]string{}
	}
	for _, k := range append(trialNotes(), policy.NoteReverted, policy.NoteRevertedBy) {
		delete(out, k)
	}
	return out
}

func setNotes(u *unstructured.Unstructured, notes map[string]string) {
	if len(notes) == 0 {
		notes = nil
	}
	u.SetAnnotations(notes)
}
