package prove

import (
	"testing"

	"github.com/netpol-project/netpol/internal/netnstest"
)

// TestNodeWithoutRulesLetsEverythingThrough: the node that the third proof
// plays on passes every attempt, or "blocked" there would mean nothing.
func TestNodeWithoutRulesLetsEverythingThrough(t *testing.T) {
	netnstest.Run(t, func(t *testing.T) {
		n := newNode(t)
		var shots []*shot
		for from := 1; from <= slots; from++ {
			for to := 1; to <= slots; to++ {
				for i, source := range slotAddrs(from) {
					for _, proto := range []int{6, 17} {
						if from != to {
							shots = append(shots, &shot{from: n.pods[from], source: source, to: place(to), dest: slotAddrs(to)[i], proto: proto, port: 80})
						}
					}
				}
			}
			for i, source := range slotAddrs(from) {
				shots = append(shots,
					&shot{from: n.pods[from], source: source, to: "host", dest: hostAddrs[i], proto: 17, port: 53},
					&shot{from: n.pods[from], source: source, to: "host", dest: hostAddrs[i], proto: 6, port: 53},
					&shot{from: n.pods[from], source: Outside[i*5], spoofed: true, to: place(from%slots + 1), dest: slotAddrs(from%slots + 1)[i], proto: 17, port: 53})
			}
		}
		for i, out := range Outside {
			if slotOf(out) > 0 {
				continue
			}
			shots = append(shots,
				&shot{from: n.outside, source: out, to: place(1), dest: slotAddrs(1)[i/5], proto: 6, port: 80},
				&shot{from: n.pods[2], source: slotAddrs(2)[i/5], to: "outside", dest: out, proto: 17, port: 80})
		}
		if err := n.fire(shots); err != nil {
			t.Fatal(err)
		}
		for _, s := range shots {
			if !s.reached {
				t.Errorf("%s to %s (%s), protocol %d: did not arrive", s.source, s.dest, s.to, s.proto)
			}
		}
		t.Logf("%d attempts", len(shots))
	})
}
