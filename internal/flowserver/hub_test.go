package flowserver

import (
	"testing"
	"time"

	"github.com/netpol-project/netpol/pkg/enforce/relaypb"
	"github.com/netpol-project/netpol/pkg/flow"
	"github.com/netpol-project/netpol/pkg/flow/keep"
)

// noNodes expects none.
type noNodes struct{}

func (noNodes) Nodes() ([]string, bool) { return nil, true }

// A server that has lost what it acknowledged says since when: what was counted
// after its last write is what may be missing.
func TestWelcomeSaysWhatIsOnDisk(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	dir := t.TempDir()
	attach := func(session string) *relaypb.Welcome {
		t.Helper()
		store := keep.Open(keep.Options{Dir: dir, Owner: "flows server", Limits: flow.DefaultLimits(), Now: func() time.Time { return now }, Retold: true})
		h := newHub(store, noNodes{}, func() time.Time { return now }, &metrics{})
		w, err := h.attach("n1", &relaypb.Hello{Session: session, StartedNanos: now.UnixNano()}, &line{superseded: make(chan struct{})})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		return w
	}
	if w := attach("one"); w.GetKnown() || w.GetKeptUntilNanos() != 0 {
		t.Errorf("a server from nothing: %v", w)
	}
	first := now
	now = now.Add(5 * time.Hour)
	if w := attach("one"); !w.GetKnown() || w.GetKeptUntilNanos() != first.UnixNano() {
		t.Errorf("%v, want %d", w, first.UnixNano())
	}
}
