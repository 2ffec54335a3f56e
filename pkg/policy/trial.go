package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The annotations of an enforced policy that is on trial, and of one that was.
// docs/CONFIRM.md says what each of them means.
const (
	// NoteRevision counts the changes that netpol made to the policy; decimal.
	NoteRevision = "netpol.dev/revision"
	// NoteConfirmBy is when the trial ends by the clock of who began it; RFC 3339.
	NoteConfirmBy = "netpol.dev/confirm-by"
	// NoteConfirmWithin is how long it lasts, by everybody's own clock; a Go
	// duration.
	NoteConfirmWithin = "netpol.dev/confirm-within"
	// NotePrevious is the spec that was enforced before, as JSON; null where
	// there was no such policy.
	NotePrevious = "netpol.dev/previous"
	// NoteReverted is the revision that was taken back since nobody confirmed it.
	NoteReverted = "netpol.dev/reverted"
	// NoteRevertedBy tells who took it back, when and why; JSON.
	NoteRevertedBy = "netpol.dev/reverted-by"
)

// LongestTrial bounds how long a policy may be on trial.
const LongestTrial = 24 * time.Hour

// Trial says until when a policy is enforced unless somebody confirms it, and
// what is enforced after that.
type Trial struct {
	Revision uint64
	// By is the end by the clock of who began it; Within is its length.
	By     time.Time
	Within time.Duration
	// Previous is the policy as it was before; nil: there was none.
	Previous *Policy
}

// trialNotes are the annotations that every trial has.
var trialNotes = [...]string{NoteRevision, NoteConfirmBy, NoteConfirmWithin, NotePrevious}

// trial reads the trial that a policy's annotations speak of. One that is not
// understood whole is none, with a warning: the policy stays in force as it is
// written, which is what its author enforced. Guessing what to go back to could
// open what is closed, and cut what neither of the two would.
func (r *reading) trial(rd *reader, p *Policy) *Trial {
	notes := r.root.at("metadata", "annotations")
	if notes.get(NoteConfirmBy) == nil && notes.get(NoteConfirmWithin) == nil && notes.get(NotePrevious) == nil {
		return nil
	}
	for _, name := range trialNotes {
		if n := notes.get(name); n == nil || n.kind != isString {
			r.noTrial(notes, name, "a policy on trial needs the annotation "+name)
			return nil
		}
	}
	t := &Trial{}
	var err error
	if t.Revision, err = strconv.ParseUint(notes.get(NoteRevision).text, 10, 63); err != nil {
		r.noTrial(notes, NoteRevision, "expected a number")
		return nil
	}
	if t.By, err = time.Parse(time.RFC3339, notes.get(NoteConfirmBy).text); err != nil {
		r.noTrial(notes, NoteConfirmBy, "expected a time such as 2026-01-02T15:04:05Z")
		return nil
	}
	t.By = t.By.UTC()
	t.Within, err = time.ParseDuration(notes.get(NoteConfirmWithin).text)
	if err != nil || t.Within <= 0 || t.Within > LongestTrial {
		r.noTrial(notes, NoteConfirmWithin, fmt.Sprintf("expected a duration such as 5m, of %s at most", LongestTrial))
		return nil
	}
	previous, ok := r.previous(notes, rd, p)
	if !ok {
		return nil
	}
	t.Previous = previous
	return t
}

// previous reads the spec that a policy had before, as if it were the policy's.
// It must be in the policy's tier: who may change policies of one tier must not
// have one of another tier put in force by way of it.
func (r *reading) previous(notes *node, rd *reader, p *Policy) (*Policy, bool) {
	note := notes.get(NotePrevious)
	spec, bad := parseJSON([]byte(note.text), int(note.line))
	switch {
	case bad != nil:
		r.noTrial(notes, NotePrevious, "expected a spec as JSON, or null")
		return nil, false
	case spec.kind == isNull:
		return nil, true
	case spec.kind != isMap:
		r.noTrial(notes, NotePrevious, "expected a spec as JSON, or null, got "+spec.kind.String())
		return nil, false
	}
	spec.moveTo(note.line, note.col)
	root := &node{kind: isMap, line: r.root.line, col: r.root.col}
	for _, key := range []string{"apiVersion", "kind", "metadata"} {
		root.put(key, *r.root.get(key))
	}
	root.put("spec", *spec)
	sub := &reading{dec: r.dec, file: r.file, root: root, schema: r.schema, key: r.key}
	before, _ := rd.read(sub).(*Policy)
	switch {
	case sub.since(0) || before == nil:
		why := "it can't be understood"
		for _, f := range sub.faults {
			if !f.Warning {
				why = strings.TrimPrefix(f.Field+": "+f.Reason, ": ")
				break
			}
		}
		r.noTrial(notes, NotePrevious, why)
		return nil, false
	case before.Tier != p.Tier:
		r.noTrial(notes, NotePrevious, fmt.Sprintf("it is in tier %s, and the policy in tier %s: a trial can't lead to another tier", before.Tier, p.Tier))
		return nil, false
	}
	return before, true
}

// noTrial warns that a policy will not be taken back, and why.
func (r *reading) noTrial(notes *node, name, why string) {
	at := notes.get(name)
	if at == nil {
		at = notes
	}
	r.fault(at, Fault{Code: CodeBadTrial, Warning: true, Field: "metadata.annotations[" + name + "]",
		Reason: "the policy stays in force, it can't be taken back when its time to confirm is over: " + why,
		Fix:    "netpol confirm " + r.key.Name + ", or enforce it again"})
}
