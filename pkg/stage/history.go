package stage

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Annotations of an enforced policy that tell of its past.
const (
	// noteOfRevision counts the changes that netpol made to it.
	noteOfRevision = "netpol.dev/revision"
	// NoteHistory has its last revisions, the present one included.
	NoteHistory = "netpol.dev/history"
)

// Bounds of a policy's history: all annotations of a resource together may have
// 256 KiB.
const (
	maxHistory   = 128 << 10
	maxRevisions = 50
)

// Author is who makes a change, as far as it is known, when, and by which
// command.
type Author struct {
	Time    time.Time
	User    string
	Command string
}

// Revision is a policy's spec as it was enforced for some time. Its JSON is a
// contract, in the annotation too.
type Revision struct {
	Revision int64 `json:"revision"`
	// Time is when it came, RFC 3339 in UTC; "" where that is not known.
	Time    string `json:"time,omitempty"`
	User    string `json:"user,omitempty"`
	Command string `json:"command,omitempty"`
	// Others: somebody made it without netpol, some time after the revision
	// before.
	Others bool `json:"others,omitempty"`
	// Deleted: from then on the policy was not enforced.
	Deleted bool `json:"deleted,omitempty"`
	// Reverted: it ended a trial, with what was enforced before that.
	Reverted *Revert        `json:"reverted,omitempty"`
	Spec     map[string]any `json:"spec,omitempty"`
}

// HistoryOf reads the history that a policy carries. One that can't be read is
// no history.
func HistoryOf(u *unstructured.Unstructured) []Revision {
	var out []Revision
	if u == nil || json.Unmarshal([]byte(u.GetAnnotations()[NoteHistory]), &out) != nil {
		return nil
	}
	return out
}

// Past is the history of a policy up to now: what was kept, and a revision more
// where the policy is not as netpol left it. live is nil where it is not
// enforced.
func Past(kept []Revision, live *unstructured.Unstructured) []Revision {
	out := slices.Clone(kept)
	last := lastOf(out)
	switch {
	case live == nil && (last == nil || last.Deleted):
		return out
	case live == nil:
		return append(out, Revision{Revision: last.Revision + 1, Others: true, Deleted: true})
	case last != nil && !last.Deleted && sameSpec(live, last.Spec):
		return out
	}
	next := Revision{Revision: nextRevision(last, live, 1), Others: true, Spec: specOf(live)}
	if by, ok := RevertOf(live); ok && endsTrial(out, live, by) {
		next = by.revision(next.Revision, next.Spec)
	}
	return append(out, next)
}

// Record is the history of a policy after a change of it: next is what it will
// be, nil for its deletion. changed is false where next says what live says, so
// that there is nothing to record.
func Record(kept []Revision, live, next *unstructured.Unstructured, by Author) (out []Revision, changed bool) {
	if live != nil && next != nil && sameSpec(live, specOf(next)) {
		return kept, false
	}
	out = Past(kept, live)
	r := Revision{User: by.User, Command: by.Command}
	if !by.Time.IsZero() {
		r.Time = by.Time.UTC().Format(time.RFC3339)
	}
	r.Revision = nextRevision(lastOf(out), next, 1)
	if r.Deleted = next == nil; !r.Deleted {
		r.Spec = specOf(next)
	}
	return bounded(append(out, r)), true
}

func lastOf(list []Revision) *Revision {
	if len(list) == 0 {
		return nil
	}
	return &list[len(list)-1]
}

// nextRevision is the number after last, at least least, and what the object
// says itself if that is more.
func nextRevision(last *Revision, u *unstructured.Unstructured, least int64) int64 {
	n := least
	if last != nil {
		n = last.Revision + 1
	}
	if u != nil {
		if own, err := strconv.ParseInt(u.GetAnnotations()[noteOfRevision], 10, 64); err == nil && own > n && own-n < 1<<32 {
			n = own
		}
	}
	return n
}

// bounded drops the oldest until the history fits.
func bounded(list []Revision) []Revision {
	if n := len(list) - maxRevisions; n > 0 {
		list = list[n:]
	}
	for len(list) > 1 {
		text, err := json.Marshal(list)
		if err == nil && len(text) <= maxHistory {
			break
		}
		list = list[1:]
	}
	return list
}

// WithHistory is a policy that carries its history and the number of its
// revision. A history that is too large even with one revision is left out.
func WithHistory(u *unstructured.Unstructured, history []Revision) (*unstructured.Unstructured, error) {
	last := lastOf(history)
	if last == nil {
		return u, nil
	}
	text, err := json.Marshal(history)
	if err != nil {
		return nil, fmt.Errorf("%s: history: %w", keyOf(u), err)
	}
	u = u.DeepCopy()
	notes := u.GetAnnotations()
	if notes == nil {
		notes = map[string]string{}
	}
	notes[noteOfRevision] = strconv.FormatInt(last.Revision, 10)
	if delete(notes, NoteHistory); len(text) <= maxHistory {
		notes[NoteHistory] = string(text)
	}
	u.SetAnnotations(notes)
	return u, nil
}

// KeepHistory gives u what live carries of its history, where u does not say it:
// a manifest is not to take it away.
func KeepHistory(u, live *unstructured.Unstructured) *unstructured.Unstructured {
	have, notes := live.GetAnnotations(), u.GetAnnotations()
	out := u
	for _, name := range [...]string{noteOfRevision, NoteHistory, policy.NoteReverted, policy.NoteRevertedBy} {
		if _, said := notes[name]; said || have[name] == "" {
			continue
		}
		if out == u {
			out = u.DeepCopy()
			if notes = out.GetAnnotations(); notes == nil {
				notes = map[string]string{}
			}
		}
		notes[name] = have[name]
		out.SetAnnotations(notes)
	}
	return out
}

// HideHistory takes the history out of a copy that people read.
func HideHistory(u *unstructured.Unstructured) {
	notes := u.GetAnnotations()
	if _, ok := notes[NoteHistory]; ok {
		delete(notes, NoteHistory)
		u.SetAnnotations(notes)
	}
}

// AtRevision is the policy as it was in a revision.
func AtRevision(live *unstructured.Unstructured, key policy.Key, r Revision) *unstructured.Unstructured {
	out := &unstructured.Unstructured{Object: map[string]any{}}
	if live != nil {
		out = live.DeepCopy()
		setNotes(out, withoutTrial(out.GetAnnotations())) // what is asked for now is no trial
	} else {
		out.SetAPIVersion(APIVersion)
		out.SetKind(string(key.Kind))
		if key.Kind == policy.KindKubernetesNetworkPolicy {
			out.SetAPIVersion(kubernetesAPI)
			out.SetKind(string(policy.KindNetworkPolicy))
		}
		out.SetName(key.Name)
		if key.Namespace != "" {
			out.SetNamespace(key.Namespace)
		}
	}
	out.Object["spec"] = (&unstructured.Unstructured{Object: map[string]any{"spec": r.Spec}}).DeepCopy().Object["spec"]
	return out
}
