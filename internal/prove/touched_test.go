package prove

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/tier"
)

// TestTouchedContract: a peer that an edit is said not to touch, and whose
// identity is what it was, is judged as before; so are all addresses outside
// unless the edit touches everybody.
func TestTouchedContract(t *testing.T) {
	spared := 0
	rapid.Check(t, func(t *rapid.T) {
		before := Worlds().Draw(t, "world")
		after := Edited(before).Draw(t, "edited")
		services := drawWires(t, after)
		old := newSubject(t, before, nil)
		s := newSubject(t, after, old)
		if s.model.Epoch() != old.model.Epoch() {
			return
		}
		for _, local := range after.PodEnds() {
			was, same := old.same(s, local)
			if !same {
				continue
			}
			for _, dir := range directions {
				touched, all := s.model.Touched(old.model, tier.Enforced(), dir, s.peer(local).Endpoint)
				if all {
					continue
				}
				for _, peer := range after.Ends() {
					oldPeer, same := old.same(s, peer)
					if !same || !local.Meets(peer) || peer.Pod != nil && touched(s.identity(peer)) {
						continue
					}
					spared++
					for _, v := range services {
						x := Packet{Direction: dir, Local: was, Peer: oldPeer}.Over(v)
						y := Packet{Direction: dir, Local: local, Peer: peer}.Over(v)
						if p, q := before.Judge(Scope{}, x), after.Judge(Scope{}, y); !sameAnswer(p, q) {
							t.Fatalf("said not to be touched, but before %+v\nand after %+v\n%s\n\nBefore the edit:\n%s",
								p, q, after.describe(Scope{}, y), before.Manifests())
						}
					}
				}
			}
		}
	})
	if spared == 0 {
		t.Error("every edit touched everybody")
	}
}

// same finds the end that e was in the world before: the same address outside,
// or the pod with the same address, name and identity.
func (s *subject) same(after *subject, e End) (End, bool) {
	if e.Pod == nil {
		return e, !s.owned(e.Addr) && !after.owned(e.Addr)
	}
	for _, was := range s.PodEnds() {
		if was.Pod.ID() == e.Pod.ID() && was.Addr == e.Addr && was.Addr.IsValid() && s.identity(was) == after.identity(e) {
			return was, true
		}
	}
	return End{}, false
}
