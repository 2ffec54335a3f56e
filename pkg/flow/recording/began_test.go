package recording

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/flow"
)

// What List counts in windows is what each record says of them, whatever the
// order of records, and told of the flow that it is of.
func TestPropertyWindowsAreCountedWhileListing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
		var out bytes.Buffer
		w, err := NewWriter(&out, Header{Created: testTime}.Covered(flow.Coverage{From: testTime, To: testTime.Add(time.Hour)}))
		if err != nil {
			t.Fatal(err)
		}
		kinds := testFlows()
		for range n("records", 40) {
			f := kinds[n("flow", len(kinds)-1)]
			f.Port = uint16(80 + n("port", 3))
			f.FirstSeen = testTime.Add(time.Duration(n("first", 3600)) * time.Second)
			f.LastSeen = f.FirstSeen.Add(time.Duration(n("for", 1800)) * time.Second)
			f.Connections = int64(n("connections", 20))
			if err := w.Flow(&f); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		s, err := Open("r", func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil })
		if err != nil {
			t.Fatal(err)
		}
		edges := []time.Time{testTime.Add(10 * time.Minute)}
		for range 1 + n("windows", 5) {
			edges = append(edges, edges[len(edges)-1].Add(7*time.Minute))
		}
		filter := flow.Filter{IncludeProbes: n("probes", 1) == 0}
		s.CountIn(edges)
		if _, _, err := s.List(t.Context(), filter); err != nil {
			t.Fatal(err)
		}
		if _, ok := s.Began(edges[1:]); ok {
			t.Fatal("other windows were counted in")
		}
		flows, _, err := s.List(t.Context(), filter)
		if err != nil {
			t.Fatal(err)
		}
		began, ok := s.Began(edges)
		if !ok || len(began) != len(flows) {
			t.Fatalf("%d of %d flows, %v", len(began), len(flows), ok)
		}
		want := map[flow.Key][]int64{}
		err = s.Follow(t.Context(), filter, func(f flow.Flow) error {
			if want[f.Key] == nil {
				want[f.Key] = make([]int64, len(edges)-1)
			}
			c := f.Counts()
			c.Spread(edges, want[f.Key])
			return nil
		})
		if err != nil || len(want) != len(flows) {
			t.Fatalf("%d flows, want %d, %v", len(flows), len(want), err)
		}
		for i := range flows {
			got := began[i]
			if got == nil {
				got = make([]int64, len(edges)-1)
			}
			if !slices.Equal(got, want[flows[i].Key]) {
				t.Fatalf("%v: %v, want %v", flows[i].Key, got, want[flows[i].Key])
			}
		}
	})
}
