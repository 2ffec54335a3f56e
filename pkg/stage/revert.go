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

// RevertReason is why a policy that was on trial was taken back.
type RevertReason string

// The reasons.
const (
	RevertDeadline    RevertReason = "deadline"    // nobody confirmed it in time
	RevertInterrupted RevertReason = "interrupted" // the command that alone guarded it was
	RevertDenied      RevertReason = "denied"      // it refused what was usual before
)

// Revert tells who ended a trial, when and why. Its JSON is a contract, in
// annotation netpol.dev/reverted-by too.
type Revert struct {
	Revision uint64 `json:"revision"`       // that was taken back
	Time     string `json:"time,omitempty"` // RFC 3339 in UTC, by the clock of who did
	// By is "agent on NODE", or the user whose command did; "" where that is not
	// known.
	By string `json:"by,omitempty"`
	// Reason is empty where that is not known.
	Reason RevertReason `json:"reason,omitempty"`
	// Denied is what was refused, for RevertDenied.
	Denied *RevertDenials `json:"denied,omitempty"`
}

// RevertDenials are the refused connections for which a trial was ended.
type RevertDenials struct {
	Connections int64 `json:"connections"`
	Pods        int   `json:"pods"` // that made them, at least
	// Flows are the most refused of them.
	Flows []RevertFlow `json:"flows"`
	// More is how many flows are left out.
	More int `json:"more,omitempty"`
}

// RevertFlow is one of them.
type RevertFlow struct {
	From        string `json:"from"` // as a flow.Peer is written
	To          string `json:"to"`
	Protocol    string `json:"protocol"`
	Port        uint16 `json:"port,omitempty"`
	Connections int64  `json:"connections"`
}

// maxRevert bounds the note of a revert, in bytes: an admission policy holds
// agents to it.
const maxRevert = 4 << 10

// NewRevert is a revert at a moment.
func NewRevert(reason RevertReason, by string, now time.Time) Revert {
	return Revert{By: by, Reason: reason, Time: now.UTC().Format(time.RFC3339)}
}

// Text is why, in words.
func (r *Revert) Text() string {
	switch r.Reason {
	case RevertDeadline:
		return "nobody confirmed it in time"
	case RevertInterrupted:
		return "the command that guarded it was interrupted"
	case RevertDenied:
		if r.Denied != nil {
			return fmt.Sprintf("it refused %d connections of %d pods that were usual", r.Denied.Connections, r.Denied.Pods)
		}
		return "it refused what was usual"
	}
	return "why is not known"
}

func (r Revert) of(revision uint64) Revert {
	r.Revision = revision
	return r
}

// note is the text of the annotation; flows that do not fit are left out.
func (r Revert) note() (string, error) {
	for {
		text, err := json.Marshal(r)
		if err != nil {
			return "", fmt.Errorf("who takes it back: %w", err)
		}
		switch {
		case len(text) <= maxRevert:
			return string(text), nil
		case r.Denied == nil || len(r.Denied.Flows) == 0:
			return "", fmt.Errorf("who takes it back: %d bytes are more than %d", len(text), maxRevert)
		}
		fewer := *r.Denied
		fewer.Flows, fewer.More = fewer.Flows[:len(fewer.Flows)-1], fewer.More+1
		r.Denied = &fewer
	}
}

// revision is the entry of a history; spec is nil where the policy went.
func (r Revert) revision(number int64, spec map[string]any) Revision {
	return Revision{Revision: number, Time: r.Time, User: r.By, Deleted: spec == nil, Reverted: &r, Spec: spec}
}

// RevertOf tells who ended the last trial of a policy, if nothing was enforced
// since. Where an older release did, only the revision is known.
func RevertOf(u *unstructured.Unstructured) (Revert, bool) {
	n := Reverted(u)
	if n == 0 {
		return Revert{}, false
	}
	var r Revert
	if json.Unmarshal([]byte(u.GetAnnotations()[policy.NoteRevertedBy]), &r) != nil || r.Revision != n {
		return Revert{Revision: n}, true
	}
	return r, true
}

// endsTrial says whether what a policy is now is what a revert made of the last
// revision that was kept, and nothing that somebody wrote after it.
func endsTrial(kept []Revision, live *unstructured.Unstructured, by Revert) bool {
	last := lastOf(kept)
	if last == nil {
		return true
	}
	return strconv.FormatInt(last.Revision, 10) == strconv.FormatUint(by.Revision, 10) &&
		slices.ContainsFunc(kept, func(r Revision) bool { return !r.Deleted && sameSpec(live, r.Spec) })
}

// Numbered is a policy on trial whose revision has the number that it has in its
// history; others stay as they are.
func Numbered(u *unstructured.Unstructured, history []Revision) *unstructured.Unstructured {
	last := lastOf(history)
	if last == nil || TrialOf(u) == nil {
		return u
	}
	u = u.DeepCopy()
	notes := u.GetAnnotations()
	notes[noteOfRevision] = strconv.FormatInt(last.Revision, 10)
	u.SetAnnotations(notes)
	return u
}
