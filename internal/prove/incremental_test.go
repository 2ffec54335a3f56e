package prove

import (
	"testing"

	"pgregory.net/rapid"
)

// TestModelAfterEditsEqualsModelFromScratch: what a model takes over from the
// one before must not change any answer.
func TestModelAfterEditsEqualsModelFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		services := drawWires(t, w)[:3]
		s := newSubject(t, w, nil)
		for range 3 {
			before := w
			w = Edited(w).Draw(t, "edited")
			s = newSubject(t, w, s)
			fresh := modelled(t, w, s.snap, nil)
			for _, v := range w.scopes() {
				w.packets(services, func(c Packet) {
					want, got := w.Judge(v.scope, c), s.ask(v.same, c)
					if scratch := fresh.ask(v.same, c); !sameAnswer(want, got) || !sameAnswer(want, scratch) {
						t.Fatalf("want %+v\n got %+v after the edit\n got %+v from scratch\n%s\n\nBefore the edit:\n%s",
							want, got, scratch, w.describe(v.scope, c), before.Manifests())
					}
				})
			}
		}
	})
}
