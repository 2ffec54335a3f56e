package stage

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

var revertedAt = time.Date(2026, 1, 2, 15, 5, 0, 0, time.UTC)

// tried is a policy that was put on trial over what is given, with its history,
// and what a revert makes of it; nil where it goes.
func tried(t *testing.T, before *unstructured.Unstructured, kept []Revision) (history []Revision, after *unstructured.Unstructured) {
	t.Helper()
	trial := begin(t, object(t, stagedDB), before)
	history, changed := Record(kept, before, trial, Author{Time: revertedAt, User: "mia", Command: "netpol enforce db"})
	if !changed {
		t.Fatal("nothing is recorded")
	}
	trial, err := WithHistory(trial, history)
	if err != nil {
		t.Fatal(err)
	}
	id, _ := TrialIDOf(TrialOf(trial))
	edit, err := TakeBack(trial, id, NewRevert(RevertDeadline, "agent on n1", revertedAt))
	if err != nil {
		t.Fatal(err)
	}
	return history, edit.Object
}

// A revert at the deadline is in the history as that, with the agent that wrote
// it, also once something is enforced after it.
func TestHistoryTellsWhoTookItBack(t *testing.T) {
	_, after := tried(t, object(t, enforcedDB), nil)
	past := Past(HistoryOf(after), after)
	last := past[len(past)-1]
	if len(past) != 3 || last.Revision != 3 || last.Others || last.User != "agent on n1" || last.Time != "2026-01-02T15:05:00Z" {
		t.Fatalf("past %+v", past)
	}
	if r := last.Reverted; r == nil || r.Revision != 2 || r.Reason != RevertDeadline || r.By != "agent on n1" {
		t.Errorf("reverted %+v", r)
	}
	if !sameSpec(object(t, enforcedDB), last.Spec) {
		t.Errorf("it is %v after that", last.Spec)
	}
	// Rolled back to what was on trial, which is no trial and no revert.
	again := AtRevision(after, dbKey(t), past[1])
	if notes := notesOf(again); notes[policy.NoteReverted] != "" || notes[policy.NoteRevertedBy] != "" {
		t.Errorf("notes %v", notes)
	}
	history, changed := Record(HistoryOf(after), after, again, Author{User: "mia"})
	if !changed || len(history) != 4 || history[2].Reverted == nil || history[3].Reverted != nil || history[3].Revision != 4 {
		t.Errorf("history %+v", history)
	}
}

func dbKey(t *testing.T) policy.Key { return keyOf(object(t, enforcedDB)) }

// What somebody writes after a revert is not what the revert made.
func TestHistoryTellsARevertFromWhatOthersWrite(t *testing.T) {
	_, after := tried(t, object(t, enforcedDB), nil)
	edited := after.DeepCopy()
	edited.Object["spec"] = map[string]any{"selector": "app == 'other'"}
	past := Past(HistoryOf(edited), edited)
	if last := past[len(past)-1]; len(past) != 3 || !last.Others || last.Reverted != nil {
		t.Errorf("past %+v", past)
	}
	// Nor is it once more what the policy is when that is written down.
	recorded := Past(HistoryOf(after), after)
	if again := Past(recorded, after); len(again) != len(recorded) {
		t.Errorf("told twice: %+v", again)
	}
}

// A release before did not note who took a policy back.
func TestRevertOfAnOlderRelease(t *testing.T) {
	_, after := tried(t, object(t, enforcedDB), nil)
	notes := after.GetAnnotations()
	delete(notes, policy.NoteRevertedBy)
	after.SetAnnotations(notes)
	by, ok := RevertOf(after)
	if !ok || by.Revision != 2 || by.Reason != "" || by.By != "" {
		t.Errorf("%+v, %v", by, ok)
	}
}

// One that was not there before goes: the archive ends with that, once.
func TestArchiveWithReverts(t *testing.T) {
	history, after := tried(t, nil, nil)
	if after != nil {
		t.Fatal("it stays")
	}
	key := dbKey(t)
	for name, tc := range map[string]struct {
		revision uint64
		want     int
	}{
		"its last revision":         {1, 2},
		"one that is not the last":  {7, 1},
		"one that can't be counted": {0, 1},
	} {
		archive, log := Archive{}, Reverts{}
		if err := archive.Put(key, history, 1<<20); err != nil {
			t.Fatal(err)
		}
		by := NewRevert(RevertDeadline, "agent on n2", revertedAt)
		by.Revision = tc.revision
		if err := log.Put(key, by); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := archive.WithReverts(log.All()); err != nil {
				t.Fatal(err)
			}
		}
		got := archive.Get(key)
		if len(got) != tc.want {
			t.Errorf("%s: %+v", name, got)
		}
		if last := got[len(got)-1]; tc.want == 2 && (!last.Deleted || last.Reverted == nil || last.User != "agent on n2" || last.Revision != 2) {
			t.Errorf("%s: %+v", name, last)
		}
		if past := Past(got, nil); tc.want == 2 && len(past) != 2 {
			t.Errorf("%s: %+v", name, past)
		}
	}
}

// Reverts are bounded: the oldest goes first.
func TestRevertsAreBounded(t *testing.T) {
	log := Reverts{}
	for i := range maxReverts + 10 {
		key := policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: fmt.Sprintf("p%d", i)}
		if err := log.Put(key, NewRevert(RevertDeadline, "agent on n1", revertedAt.Add(time.Duration(i)*time.Second))); err != nil {
			t.Fatal(err)
		}
	}
	all := log.All()
	if len(all) != maxReverts {
		t.Errorf("%d are kept, want %d", len(all), maxReverts)
	}
	for _, r := range all {
		if r.Name == "p9" {
			t.Error("an old one is kept")
		}
	}
}

// The note stays within what the admission policy lets agents write.
func TestRevertNoteIsBounded(t *testing.T) {
	by := NewRevert(RevertDenied, "mia", revertedAt)
	by.Denied = &RevertDenials{Connections: 100, Pods: 2}
	for i := range 100 {
		by.Denied.Flows = append(by.Denied.Flows, RevertFlow{From: strings.Repeat("a", 200), To: fmt.Sprint(i), Protocol: "TCP", Port: 80, Connections: 1})
	}
	text, err := by.note()
	if err != nil || len(text) > maxRevert {
		t.Fatalf("%d bytes, %v", len(text), err)
	}
	if !strings.Contains(text, `"to":"0"`) || !strings.Contains(text, `"more":`) || len(by.Denied.Flows) != 100 {
		t.Errorf("note %s", text)
	}
	if _, err := (Revert{By: strings.Repeat("a", maxRevert)}).note(); err == nil {
		t.Error("a note that is too large is written")
	}
}
