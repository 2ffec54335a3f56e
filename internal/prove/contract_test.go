package prove

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

var directions = []policy.Direction{policy.Ingress, policy.Egress}

// TestIdentityContract: endpoints of one identity are alike to every selector,
// so where no net tells their addresses apart either they get the same answer
// as subject and as peer.
func TestIdentityContract(t *testing.T) {
	shared := 0
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		w.twins(t)
		views := w.views(drawWires(t, w)[:3])
		s, nets := newSubject(t, w, nil), w.nets()
		w.pairs(func(a, b End) {
			if a.Pod == b.Pod || !sameNets(nets, a.Addr, b.Addr) || s.identity(a) != s.identity(b) {
				return
			}
			shared++
			for _, v := range views {
				for _, dir := range directions {
					s.alikePeers(t, v, dir, a, b)
					s.alikeSubjects(t, v, dir, a, b)
				}
			}
		})
	})
	if shared == 0 {
		t.Error("no two pods had one identity")
	}
}

// TestProfileContract: endpoints of one profile get the same answer for the
// same peer, whatever their own addresses and labels are.
func TestProfileContract(t *testing.T) {
	shared := 0
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		w.twins(t)
		views := w.views(drawWires(t, w)[:3])
		s := newSubject(t, w, nil)
		w.pairs(func(a, b End) {
			for _, v := range views {
				for _, dir := range directions {
					if a.Pod != b.Pod && s.profile(v.same, dir, a) == s.profile(v.same, dir, b) {
						shared++
						s.alikeSubjects(t, v, dir, a, b)
					}
				}
			}
		})
		for _, e := range w.PodEnds() {
			s.emptyProfile(t, e)
		}
	})
	if shared == 0 {
		t.Error("no two pods had one profile")
	}
}

// TestProfileAcrossModels: an equal key in the next model means that nothing
// changed for addresses outside the cluster, to which no label speaks.
func TestProfileAcrossModels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := Worlds().Draw(t, "world")
		after := Edited(before).Draw(t, "edited")
		services := drawWires(t, after)
		old := newSubject(t, before, nil)
		s := newSubject(t, after, old)
		for _, a := range before.PodEnds() {
			for _, b := range after.PodEnds() {
				for _, dir := range directions {
					if !a.Addr.IsValid() || a.Addr != b.Addr || old.profile(tier.Enforced(), dir, a) != s.profile(tier.Enforced(), dir, b) {
						continue
					}
					x := Packet{Direction: dir, Local: a}
					y := Packet{Direction: dir, Local: b}
					sameOutside(t, before, after, [2]Packet{x, y}, services)
				}
			}
		}
	})
}

// sameOutside fails where the oracle judges addresses outside the cluster
// differently before and after an edit that left the profile as it was.
func sameOutside(t *rapid.T, before, after *World, c [2]Packet, services []Wire) {
	for _, out := range Outside {
		if out.Is4() != c[0].Local.Addr.Is4() {
			continue
		}
		for _, v := range services {
			for i := range c {
				c[i].Peer = End{Addr: out}
				c[i] = c[i].Over(v)
			}
			if p, q := before.Judge(Scope{}, c[0]), after.Judge(Scope{}, c[1]); !sameAnswer(p, q) {
				t.Fatalf("profile key unchanged, but before %+v\nand after %+v\n%s\n\nBefore the edit:\n%s",
					p, q, after.describe(Scope{}, c[1]), before.Manifests())
			}
		}
	}
}

// TestNetsContract: addresses of one family that lie in the same of the nets
// are judged alike.
func TestNetsContract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		views := w.views(drawWires(t, w)[:4])
		s := newSubject(t, w, nil)
		for _, v := range views {
			for _, local := range w.PodEnds() {
				for _, dir := range directions {
					nets := s.model.Nets(v.same, dir, s.peer(local).Endpoint)
					if !slices.IsSortedFunc(nets, netip.Prefix.Compare) || len(slices.Compact(slices.Clone(nets))) != len(nets) {
						t.Fatalf("nets are not sorted or not distinct: %v\n%s", nets, w.Manifests())
					}
					s.alikeOutside(t, v, Packet{Direction: dir, Local: local}, nets)
				}
			}
		}
	})
}

// alikeOutside compares every two addresses outside the cluster that lie in
// the same nets.
func (s *subject) alikeOutside(t *rapid.T, v view, c Packet, nets []netip.Prefix) {
	for i, a := range Outside {
		for _, b := range Outside[:i] {
			x, y := c, c
			x.Peer, y.Peer = End{Addr: a}, End{Addr: b}
			if a.Is4() == b.Is4() && c.Local.Meets(x.Peer) && !s.owned(a) && !s.owned(b) && sameNets(nets, a, b) {
				s.alike(t, v, x, y)
			}
		}
	}
}

// TestOwnerContract: an address is its pod's, of several the newest one's
// (S35), and a pod on the host network or finished owns none (S12).
func TestOwnerContract(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		s := newSubject(t, w, nil)
		for _, p := range w.Pods {
			for _, a := range p.Addrs {
				var want *policy.Endpoint
				if owner := w.owner(a); owner != nil {
					want = s.ends[owner.ID()]
				}
				if got := s.model.Owner(a); got != want {
					t.Fatalf("owner of %s is %+v, want %+v\n%s", a, got, want, w.Manifests())
				}
			}
		}
		for _, a := range Outside {
			if got := s.model.Owner(a); got != nil && !w.owned(a) {
				t.Fatalf("owner of %s is %s\n%s", a, got.ID(), w.Manifests())
			}
		}
	})
}
