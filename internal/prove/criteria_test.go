package prove

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Counted over countedWorlds worlds, every criterion must have decided at
// least enough verdicts: without it, the verdict would be another. Counting ends as
// soon as all have.
const (
	countedWorlds = 1500
	enough        = 25
)

// TestEveryCriterionDecides: where a criterion never makes a difference, the
// proofs prove nothing about it.
func TestEveryCriterionDecides(t *testing.T) {
	decided := map[string]int{}
	asked := rapid.Custom(func(t *rapid.T) counted {
		w := Worlds().Draw(t, "world")
		return counted{w, drawWires(t, w)}
	})
	worlds := 0
	for missing := Criteria; len(missing) > 0 && worlds < countedWorlds; worlds++ {
		asked.Example(worlds).count(missing, decided)
		missing = slices.DeleteFunc(slices.Clone(missing), func(c Criterion) bool { return decided[c.Name] >= enough })
	}
	for _, c := range Criteria {
		if decided[c.Name] < enough {
			t.Errorf("%s decided %d verdicts, want %d", c.Name, decided[c.Name], enough)
		}
	}
	t.Logf("%d worlds", worlds)
}

// counted is a world with what it is asked about.
type counted struct {
	*World
	wires []Wire
}

// GoString keeps failure reports short.
func (c counted) GoString() string { return fmt.Sprintf("%#v and %v", c.World, c.wires) }

// count adds one for every criterion and packet where it decided. A few
// packets of a world are enough.
func (c counted) count(criteria []Criterion, decided map[string]int) {
	var packets []Packet
	i := 0
	c.packets(c.wires, func(p Packet) {
		if i++; i%5 == 0 {
			packets = append(packets, p)
		}
	})
	for _, criterion := range criteria {
		without := c.Without(criterion)
		for _, p := range packets {
			if !sameAnswer(c.Judge(Scope{All: true}, p), without.Judge(Scope{All: true}, without.again(p))) {
				decided[criterion.Name]++
			}
		}
	}
}

// again is the packet between the same pods of a copy of the world.
func (w *World) again(p Packet) Packet {
	p.Local, p.Peer = w.end(p.Local), w.end(p.Peer)
	return p
}

// end finds the pod of an end, or who has its address now.
func (w *World) end(e End) End {
	for _, p := range w.Endpoints() {
		if e.Pod != nil && p.ID() == e.Pod.ID() && (!e.Addr.IsValid() || w.owner(e.Addr) == p) {
			return End{Pod: p, Addr: e.Addr}
		}
	}
	return End{Pod: w.owner(e.Addr), Addr: e.Addr}
}
