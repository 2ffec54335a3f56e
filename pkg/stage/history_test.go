package stage

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/policy"
)

func TestRecord(t *testing.T) {
	at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.FixedZone("", 3600))
	np := func(port int) string {
		return fmt.Sprintf("{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: db, namespace: n}, spec: {selector: all(), ingress: [{action: Allow, protocol: TCP, destination: {ports: [%d]}}]}}", port)
	}
	one, two, three := object(t, np(1)), object(t, np(2)), object(t, np(3))
	h, changed := Record(nil, nil, one, Author{at, "ann", "netpol enforce db"})
	if !changed || len(h) != 1 || h[0].Revision != 1 || h[0].Time != "2026-11-26T09:00:00Z" || h[0].User != "ann" {
		t.Fatalf("got %+v", h)
	}
	// What a server fills in is no change.
	filled := one.DeepCopy()
	filled.Object["spec"].(map[string]any)["tier"] = "default"
	filled.Object["spec"].(map[string]any)["types"] = []any{"Ingress"}
	if again, changed := Record(h, filled, one, Author{}); changed || len(again) != 1 {
		t.Errorf("got %+v", again)
	}
	// Somebody else wrote two, then it is deleted.
	h, _ = Record(h, two, nil, Author{})
	if len(h) != 3 || !h[1].Others || h[1].Revision != 2 || !h[2].Deleted || h[2].Revision != 3 {
		t.Fatalf("got %+v", h)
	}
	// It comes back with a number of its own.
	three.SetAnnotations(map[string]string{noteOfRevision: "9"})
	h, _ = Record(h, nil, three, Author{})
	if last := h[len(h)-1]; last.Revision != 9 {
		t.Errorf("got %+v", last)
	}
	carries, err := WithHistory(three, h)
	if err != nil || len(HistoryOf(carries)) != 4 || carries.GetAnnotations()[noteOfRevision] != "9" {
		t.Errorf("carries %v, %v", carries.GetAnnotations(), err)
	}
	// A copy to stage has no past.
	if staged, _ := Stage(carries, policy.StagedSet); len(staged.GetAnnotations()) != 0 {
		t.Errorf("staged with %v", staged.GetAnnotations())
	}
}

func TestHistoryIsBounded(t *testing.T) {
	var h []Revision
	live := object(t, "{apiVersion: projectcalico.org/v3, kind: NetworkPolicy, metadata: {name: db, namespace: n}, spec: {selector: all()}}")
	for i := range 80 {
		next := live.DeepCopy()
		next.Object["spec"] = map[string]any{"selector": fmt.Sprintf("a == '%d' || b in {'%s'}", i, strings.Repeat("x", 4000))}
		h, _ = Record(h, live, next, Author{})
		live = next
	}
	text, _ := json.Marshal(h)
	if last := h[len(h)-1].Revision; len(text) > maxHistory || len(h) < 20 || last != 81 {
		t.Errorf("%d revisions in %d bytes, the last %d", len(h), len(text), last)
	}
}

func TestArchiveDropsTheOldest(t *testing.T) {
	a := Archive{}
	key := func(i int) policy.Key {
		return policy.Key{Kind: policy.KindNetworkPolicy, Namespace: "n", Name: fmt.Sprint("p", i)}
	}
	for i := range 20 {
		r := Revision{Revision: 1, Time: fmt.Sprintf("2026-01-01T00:00:%02dZ", i), Command: strings.Repeat("c", 1000)}
		if err := a.Put(key(i), []Revision{r}, 10000); err != nil {
			t.Fatal(err)
		}
	}
	if a.Get(key(0)) != nil || a.Get(key(19)) == nil || a.size() > 10000 {
		t.Errorf("%d bytes, %d entries", a.size(), len(a))
	}
	long := policy.Key{Kind: policy.KindStagedKubernetesNetworkPolicy, Namespace: strings.Repeat("n", 63), Name: strings.Repeat("x", 253)}
	if n := ArchiveName(long); len(n) > 253 {
		t.Errorf("%d characters", len(n))
	}
}
