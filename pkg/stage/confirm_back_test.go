package stage

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
)

func TestTakeBack(t *testing.T) {
	before := object(t, enforcedDB)
	trial := begin(t, object(t, stagedDB), before)
	id, _ := TrialIDOf(TrialOf(trial))
	edit, err := TakeBack(trial, id, Revert{By: "agent on n1", Reason: RevertDeadline})
	if err != nil {
		t.Fatal(err)
	}
	one, _ := canonical(before.Object["spec"])
	other, _ := canonical(edit.Object.Object["spec"])
	if one != other {
		t.Errorf("spec %s, want %s", other, one)
	}
	want := map[string]string{"owner": "mia", "netpol.dev/revision": "2", "netpol.dev/reverted": "1", "netpol.dev/reverted-by": `{"revision":1,"by":"agent on n1","reason":"deadline"}`}
	if d := cmp.Diff(want, notesOf(edit.Object)); d != "" {
		t.Error(d)
	}
	if got := Reverted(edit.Object); got != 1 {
		t.Errorf("revision %d was taken back, want 1", got)
	}
	if edit.Object.GetResourceVersion() != "5" {
		t.Error("a confirmation at the same time would be lost")
	}
	// What is enforced after that is no reverted one any more.
	if again := begin(t, object(t, stagedDB), edit.Object); Reverted(again) != 0 || notesOf(again)["netpol.dev/revision"] != "3" {
		t.Errorf("notes %v", notesOf(again))
	}
}

func TestTakeBackWhereNothingWas(t *testing.T) {
	trial := begin(t, object(t, stagedDB), nil)
	id, _ := TrialIDOf(TrialOf(trial))
	edit, err := TakeBack(trial, id, Revert{By: "agent on n1", Reason: RevertDeadline})
	if want := (policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "vote", Name: "db"}); err != nil || edit.Object != nil || edit.Delete != want {
		t.Errorf("%+v, %v", edit, err)
	}
}

func TestTakeBackOnlyThatTrial(t *testing.T) {
	trial := begin(t, object(t, stagedDB), nil)
	id, _ := TrialIDOf(TrialOf(trial))
	confirmed, err := Confirm(trial, nil)
	if err != nil {
		t.Fatal(err)
	}
	longer := trial.DeepCopy()
	notes := longer.GetAnnotations()
	notes[policy.NoteConfirmBy] = "2026-01-02T16:00:00Z"
	longer.SetAnnotations(notes)
	for name, u := range map[string]*unstructured.Unstructured{
		"confirmed": confirmed[0].Object, "enforced again": begin(t, object(t, stagedDB), trial), "made longer": longer,
	} {
		if edit, err := TakeBack(u, id, Revert{}); !errors.Is(err, ErrNoTrial) {
			t.Errorf("%s: %+v, %v", name, edit, err)
		}
	}
}

// What was, is: whatever the specs, taking back gives the spec from before.
func TestTrialsComeBackToWhatWas(t *testing.T) {
	text := rapid.StringMatching(`[ -~éß]{0,12}`)
	rapid.Check(t, func(r *rapid.T) {
		before := object(t, enforcedDB)
		rule := map[string]any{"action": "Allow", "metadata": map[string]any{"annotations": map[string]any{"why": text.Draw(r, "why"), "x" + rapid.StringMatching(`[a-z]{0,4}`).Draw(r, "key"): text.Draw(r, "x")}}}
		order := rapid.OneOf(rapid.Just(any(int64(rapid.IntRange(-9, 1e9).Draw(r, "int")))), rapid.Just(any(float64(rapid.IntRange(-1e9, 1e9).Draw(r, "millionths"))/1e6))).Draw(r, "order")
		before.Object["spec"] = map[string]any{"order": order, "selector": "has(a)", "ingress": []any{rule}, "types": []any{"Ingress"}}
		trial := begin(t, object(t, stagedDB), before)
		id, ok := TrialIDOf(TrialOf(trial))
		if !ok {
			r.Fatal("not on trial")
		}
		edit, err := TakeBack(trial, id, Revert{By: "agent on n1", Reason: RevertDeadline})
		if err != nil {
			r.Fatal(err)
		}
		one, _ := canonical(before.Object["spec"])
		if other, _ := canonical(edit.Object.Object["spec"]); one != other {
			r.Fatalf("%s is not %s", other, one)
		}
	})
}
