package stage

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrDeletion: a deletion leaves no resource that could carry what to go
	// back to.
	ErrDeletion = errors.New("it stages a deletion, which leaves no policy that could carry what to go back to")
	// ErrNoWayBack: what is enforced now can't be put in force again.
	ErrNoWayBack = errors.New("what is enforced now could not be put back")
	// ErrNoTrial: the policy is not on trial, or not on that one any more.
	ErrNoTrial = errors.New("it is not on trial")
)

// longestPrevious bounds the spec that a policy carries beside its own: all
// annotations of a resource together may have 256 KiB, and its history has half
// of them.
const longestPrevious = 96 << 10

// TrialID is one trial of one policy. A policy that is enforced again has
// another revision, and one whose time is changed by hand begins anew.
type TrialID struct {
	Key      policy.Key
	Revision uint64
	By       time.Time // in UTC
	Within   time.Duration
}

// TrialIDOf is the trial that a policy is on; ok is false if it is on none.
func TrialIDOf(p *policy.Policy) (id TrialID, ok bool) {
	if p == nil || p.Trial == nil {
		return TrialID{}, false
	}
	return TrialID{p.Key, p.Trial.Revision, p.Trial.By, p.Trial.Within}, true
}

// TrialOf reads the trial of an object; nil if it is on none.
func TrialOf(u *unstructured.Unstructured) *policy.Policy {
	value, _ := policy.ValidateObject(u)
	if p, ok := value.(*policy.Policy); ok && p.Trial != nil {
		return p
	}
	return nil
}

// TrialRequest is for how long a policy is to be on trial.
type TrialRequest struct {
	Within time.Duration
	// Now is the same for all that one command puts on trial: they end together.
	Now time.Time
}

// OnTrial puts what Enforce makes on trial: the policy carries what is enforced
// now, and until when to confirm it. The staged policy stays until then, so that
// after a revert everything is as before. enforced is as for Enforce. Who
// enforces over a trial goes back to what was there before that one: an
// unconfirmed policy is nothing to go back to.
func OnTrial(edits []Edit, enforced *unstructured.Unstructured, req TrialRequest) ([]Edit, error) {
	if len(edits) == 0 || edits[0].Object == nil {
		return nil, ErrDeletion
	}
	out := edits[0].Object.DeepCopy()
	previous, err := previousOf(enforced)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyOf(out), err)
	}
	notes := withoutTrial(out.GetAnnotations())
	notes[policy.NoteRevision] = strconv.FormatUint(max(revisionOf(out), revisionOf(enforced)+1), 10)
	// To the nanosecond: nobody has less time than was asked for, and those that
	// one command begins are told from all others by it.
	notes[policy.NoteConfirmBy] = req.Now.Add(req.Within).UTC().Format(time.RFC3339Nano)
	notes[policy.NoteConfirmWithin] = req.Within.String()
	notes[policy.NotePrevious] = previous
	out.SetAnnotations(notes)
	if err := checkTrial(out); err != nil {
		return nil, err
	}
	return []Edit{{Object: out}}, nil
}

// OffTrial makes what Enforce makes final: it may be enforced over a trial, or
// out of a copy of a policy that was on one.
func OffTrial(edits []Edit) []Edit {
	for _, e := range edits {
		if e.Object != nil {
			setNotes(e.Object, withoutTrial(e.Object.GetAnnotations()))
		}
	}
	return edits
}

// previousOf is the spec to go back to, as a trial carries it.
func previousOf(enforced *unstructured.Unstructured) (string, error) {
	if enforced == nil {
		return "null", nil
	}
	if TrialOf(enforced) != nil {
		return enforced.GetAnnotations()[policy.NotePrevious], nil
	}
	if _, faults := policy.ValidateObject(enforced); faults.Err() != nil {
		return "", fmt.Errorf("%w: %w", ErrNoWayBack, faults.Err())
	}
	text, err := canonical(enforced.Object["spec"])
	switch {
	case err != nil:
		return "", fmt.Errorf("%w: %w", ErrNoWayBack, err)
	case len(text) > longestPrevious:
		return "", fmt.Errorf("%w: its spec has %d KiB, and %d are the most that a policy on trial carries", ErrNoWayBack, len(text)>>10, longestPrevious>>10)
	}
	return text, nil
}

// checkTrial refuses a trial that agents would refuse.
func checkTrial(u *unstructured.Unstructured) error {
	if TrialOf(u) != nil {
		return nil
	}
	_, faults := policy.ValidateObject(u)
	for _, f := range faults {
		if f.Code == policy.CodeBadTrial || !f.Warning {
			return fmt.Errorf("%w: %s", ErrNoWayBack, f.Reason)
		}
	}
	return ErrNoWayBack
}

// Confirm makes a policy that is on trial final, also one whose trial is written
// wrongly, so that it can't be taken back. staged is the policy that it
// was enforced from, nil if there is none any more; it goes, unless somebody has
// changed it since, and then it stages what it says.
func Confirm(enforced, staged *unstructured.Unstructured) ([]Edit, error) {
	if !hasTrialNotes(enforced) {
		return nil, fmt.Errorf("%s: %w", keyOf(enforced), ErrNoTrial)
	}
	out := enforced.DeepCopy()
	setNotes(out, withoutTrial(out.GetAnnotations()))
	edits := []Edit{{Object: out}}
	if staged != nil && sameAsEnforced(staged, enforced) {
		edits = append(edits, Edit{Delete: keyOf(staged), Version: staged.GetResourceVersion()})
	}
	return edits, nil
}

// hasTrialNotes says whether a policy has annotations of a trial.
func hasTrialNotes(u *unstructured.Unstructured) bool {
	notes := u.GetAnnotations()
	for _, k := range trialNotes() {
		if _, ok := notes[k]; ok {
			return true
		}
	}
	return false
}

// trialNotes are the annotations that a policy has while it is on trial.
func trialNotes() []string {
	return []string{policy.NoteConfirmBy, policy.NoteConfirmWithin, policy.NotePrevious}
}

// sameAsEnforced says whether a staged policy says what is enforced.
func sameAsEnforced(staged, enforced *unstructured.Unstructured) bool {
	if !sets(staged) {
		return false
	}
	fields, _ := staged.Object["spec"].(map[string]any)
	fields = maps.Clone(fields)
	delete(fields, "stagedAction")
	one, err1 := canonical(fields)
	other, err2 := canonical(enforced.Object["spec"])
	return err1 == nil && err2 == nil && one == other
}
