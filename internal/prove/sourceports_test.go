package prove

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// TestSourcePortsContract: source ports of one class are judged alike, every
// port is in one class, and the first has the one that is assumed.
func TestSourcePortsContract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		wires := drawWires(t, w)[:4]
		s := newSubject(t, w, nil)
		for _, v := range w.scopes() {
			for _, local := range w.PodEnds() {
				for _, dir := range directions {
					classes := s.model.SourcePorts(v.same, dir, s.peer(local).Endpoint)
					if len(classes) > 0 && classOf(classes, tier.AssumedSourcePort) != 0 {
						t.Fatalf("the assumed port is not in class 0 of %v\n%s", classes, w.Manifests())
					}
					for _, peer := range w.Ends() {
						if local.Meets(peer) {
							s.alikeFrom(t, v, Packet{Direction: dir, Local: local, Peer: peer}, classes, wires)
						}
					}
				}
			}
		}
	})
}

// alikeFrom compares the oracle's answers for source ports of one class.
func (s *subject) alikeFrom(t *rapid.T, v scopePair, c Packet, classes [][]policy.PortRange, wires []Wire) {
	for _, wire := range wires {
		if !policy.Protocol(wire.Protocol).HasPorts() {
			continue
		}
		first := map[int]Packet{}
		for _, wire.SourcePort = range append(slices.Clone(sourcePorts), Ports...) {
			if wire.SourcePort == 0 {
				continue
			}
			next, class := c.Over(wire), classOf(classes, wire.SourcePort)
			if class < 0 {
				t.Fatalf("source port %d is in no class of %v\n%s", wire.SourcePort, classes, s.describe(v.scope, next))
			}
			if _, seen := first[class]; !seen {
				first[class] = next
			}
			if a, b := s.Judge(v.scope, first[class]), s.Judge(v.scope, next); !sameAnswer(a, b) {
				t.Fatalf("source ports %d and %d are of one class of %v, but %+v\nand %+v\n%s",
					first[class].SourcePort, wire.SourcePort, classes, a, b, s.describe(v.scope, next))
			}
		}
	}
}

// classOf is the class that has the port; 0 where there are none.
func classOf(classes [][]policy.PortRange, port int) int {
	if len(classes) == 0 {
		return 0
	}
	return slices.IndexFunc(classes, func(ranges []policy.PortRange) bool {
		return slices.ContainsFunc(ranges, func(r policy.PortRange) bool { return r.Contains(uint16(port)) })
	})
}
