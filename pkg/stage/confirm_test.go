package stage

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/netpol-project/netpol/pkg/policy"
)

var trialStart = time.Date(2026, 1, 2, 15, 0, 0, 1, time.UTC)

const (
	stagedDB = `
apiVersion: projectcalico.org/v3
kind: StagedNetworkPolicy
metadata: {name: db, namespace: vote, labels: {team: data}}
spec: {stagedAction: Set, order: 10, selector: app == 'db', types: [Ingress]}
`
	enforcedDB = `
apiVersion: projectcalico.org/v3
kind: NetworkPolicy
metadata: {name: db, namespace: vote, resourceVersion: "5", annotations: {owner: mia}}
spec: {order: 20, selector: "app == 'db'", ingress: [{action: Allow, source: {nets: [10.0.0.0/8]}}]}
`
)

// begin enforces a staged policy on trial.
func begin(t *testing.T, staged, enforced *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	edits, err := Enforce(staged, enforced)
	if err != nil {
		t.Fatal(err)
	}
	edits, err = OnTrial(edits, enforced, TrialRequest{Within: 5 * time.Minute, Now: trialStart})
	if err != nil {
		t.Fatal(err)
	}
	if len(edits) != 1 || edits[0].Object == nil {
		t.Fatalf("edits %+v: the staged policy stays until it is confirmed", edits)
	}
	return edits[0].Object
}

func notesOf(u *unstructured.Unstructured) map[string]string {
	return u.GetAnnotations()
}

func TestOnTrial(t *testing.T) {
	out := begin(t, object(t, stagedDB), object(t, enforcedDB))
	want := map[string]string{
		"owner":                     "mia",
		"netpol.dev/revision":       "1",
		"netpol.dev/confirm-by":     "2026-01-02T15:05:00.000000001Z",
		"netpol.dev/confirm-within": "5m0s",
		"netpol.dev/previous":       `{"ingress":[{"action":"Allow", "source":{"nets":["10.0.0.0/8"]}}], "order":20, "selector":"app == 'db'"}`,
	}
	if d := cmp.Diff(want, notesOf(out)); d != "" {
		t.Error(d)
	}
	p := TrialOf(out)
	if p == nil || p.Order != 10 || p.Trial.Previous == nil || p.Trial.Previous.Order != 20 || p.Trial.Within != 5*time.Minute {
		t.Errorf("agents read %+v", p)
	}
	if out.GetResourceVersion() != "5" {
		t.Error("somebody else's change meanwhile would be lost")
	}
}

func TestOnTrialWhereNothingWas(t *testing.T) {
	out := begin(t, object(t, stagedDB), nil)
	if got := notesOf(out)["netpol.dev/previous"]; got != "null" {
		t.Errorf("previous %q", got)
	}
	if p := TrialOf(out); p == nil || p.Trial.Previous != nil || p.Trial.Revision != 1 {
		t.Errorf("agents read %+v", p)
	}
}

// Who enforces again over a trial goes back to what was confirmed last.
func TestOnTrialOverATrial(t *testing.T) {
	first := begin(t, object(t, stagedDB), object(t, enforcedDB))
	next := object(t, stagedDB)
	_ = unstructured.SetNestedField(next.Object, int64(11), "spec", "order")
	second := begin(t, next, first)
	if got, want := notesOf(second)["netpol.dev/previous"], notesOf(first)["netpol.dev/previous"]; got != want {
		t.Errorf("goes back to %s, want %s", got, want)
	}
	if got := notesOf(second)["netpol.dev/revision"]; got != "2" {
		t.Errorf("revision %s", got)
	}
}

func TestOnTrialRefuses(t *testing.T) {
	change := func(text, old, now string) *unstructured.Unstructured {
		return object(t, strings.Replace(text, old, now, 1))
	}
	for name, tc := range map[string]struct {
		staged, enforced *unstructured.Unstructured
		want             error
	}{
		"a deletion":      {change(stagedDB, "stagedAction: Set, order: 10, selector: app == 'db', types: [Ingress]", "stagedAction: Delete"), object(t, enforcedDB), ErrDeletion},
		"another tier":    {change(stagedDB, "order: 10", "order: 10, tier: security"), object(t, enforcedDB), ErrNoWayBack},
		"faulty before":   {object(t, stagedDB), change(enforcedDB, "order: 20", "ordr: 20"), ErrNoWayBack},
		"too long before": {object(t, stagedDB), change(enforcedDB, "order: 20", "order: 20, serviceAccountSelector: '"+strings.Repeat(" ", longestPrevious)+"'"), ErrNoWayBack},
		"number before":   {object(t, stagedDB), change(enforcedDB, "order: 20", "order: 20.00000001"), ErrNoWayBack},
		"not JSON before": {object(t, stagedDB), change(enforcedDB, "action: Allow", `action: Allow, metadata: {annotations: {why: "a\x07b"}}`), ErrNoWayBack},
	} {
		edits, err := Enforce(tc.staged, tc.enforced)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := OnTrial(edits, tc.enforced, TrialRequest{Within: time.Minute, Now: trialStart}); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func TestConfirm(t *testing.T) {
	trial := begin(t, object(t, stagedDB), object(t, enforcedDB))
	edited := object(t, stagedDB)
	_ = unstructured.SetNestedField(edited.Object, int64(11), "spec", "order")
	for name, tc := range map[string]struct {
		staged *unstructured.Unstructured
		edits  int
	}{
		"the staged one goes":            {object(t, stagedDB), 2},
		"there is none any more":         {nil, 1},
		"it was changed since: it stays": {edited, 1},
	} {
		edits, err := Confirm(trial, tc.staged)
		if err != nil || len(edits) != tc.edits {
			t.Errorf("%s: %+v, %v", name, edits, err)
			continue
		}
		if d := cmp.Diff(map[string]string{"owner": "mia", "netpol.dev/revision": "1"}, notesOf(edits[0].Object)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
		if _, err := Confirm(edits[0].Object, nil); !errors.Is(err, ErrNoTrial) {
			t.Errorf("%s: again: %v", name, err)
		}
	}
}

// Enforcing without a trial over one is a confirmation of what comes.
func TestOffTrial(t *testing.T) {
	trial := begin(t, object(t, stagedDB), object(t, enforcedDB))
	edits, err := Enforce(object(t, stagedDB), trial)
	if err != nil {
		t.Fatal(err)
	}
	if edits = OffTrial(edits); TrialOf(edits[0].Object) != nil || len(edits) != 2 {
		t.Errorf("%+v", edits)
	}
	// A staged copy of a policy on trial carries nothing of that.
	staged, err := Stage(trial, policy.StagedSet)
	if err != nil || hasTrialNotes(staged) {
		t.Errorf("%v, %v", notesOf(staged), err)
	}
}
