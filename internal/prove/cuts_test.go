package prove

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// TestCutsContract: between two neighbouring cuts the answer is the same.
func TestCutsContract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		s := newSubject(t, w, nil)
		ends := w.PodEnds()
		if len(ends) == 0 {
			return
		}
		local := pick(gen{t}, ends)
		for _, v := range w.scopes() {
			for _, peer := range w.Ends() {
				if !local.Meets(peer) {
					continue
				}
				for _, dir := range directions {
					s.checkCuts(t, v, Packet{Direction: dir, Local: local, Peer: peer})
				}
			}
		}
	})
}

// checkCuts asks the oracle about every protocol and port that could matter.
func (s *subject) checkCuts(t *rapid.T, v scopePair, c Packet) {
	cuts := s.model.Cuts(v.same, c.Direction, s.peer(c.Local), s.peer(c.Peer))
	if !slices.IsSorted(cuts.Protocols) {
		t.Fatalf("protocols are not sorted: %v\n%s", cuts.Protocols, s.describe(v.scope, c))
	}
	type first struct {
		at     Packet
		answer Answer
	}
	cells := map[[2]int]first{}
	for _, c.Protocol = range distinct(Protocols) {
		for _, c.Port = range Ports {
			got, in := s.Judge(v.scope, c), cell(cuts, c)
			if _, seen := cells[in]; !seen {
				cells[in] = first{c, got}
			}
			if f := cells[in]; !sameAnswer(f.answer, got) {
				t.Fatalf("no cut between %d/%d: %+v\n and %d/%d: %+v\ncuts %+v\n%s",
					f.at.Protocol, f.at.Port, f.answer, c.Protocol, c.Port, got, cuts, s.describe(v.scope, c))
			}
		}
	}
}

func distinct(numbers []int) []int {
	out := slices.Clone(numbers)
	slices.Sort(out)
	return slices.Compact(out)
}

// cell numbers the place between cuts that a packet falls into.
func cell(cuts tier.Cuts, c Packet) [2]int {
	proto := policy.Protocol(c.Protocol)
	if !slices.Contains(cuts.Protocols, proto) {
		return [2]int{}
	}
	interval := 0
	for _, from := range cuts.Ports[proto] {
		if int(from) <= c.Port {
			interval++
		}
	}
	return [2]int{c.Protocol, interval}
}
