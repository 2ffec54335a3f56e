package prove

import (
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"github.com/netpol-project/netpol/pkg/policy"
	"github.com/netpol-project/netpol/pkg/tier"
)

// TestEveryDoorGivesTheOraclesAnswer: the model can be asked in several ways,
// some of them prepared for many questions; all must say the same.
func TestEveryDoorGivesTheOraclesAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		services := drawWires(t, w)[:3]
		s := newSubject(t, w, nil)
		for _, v := range w.scopes() {
			for _, local := range w.PodEnds() {
				for _, dir := range directions {
					pairs := s.model.Pairs(v.same, dir, s.peer(local).Endpoint)
					s.checkSelecting(t, v, dir, local)
					for _, peer := range w.Ends() {
						if local.Meets(peer) {
							s.checkDoors(t, view{v, services}, Packet{Direction: dir, Local: local, Peer: peer}, pairs)
						}
					}
				}
			}
		}
	})
}

// checkDoors asks about one pair of ends in every way.
func (s *subject) checkDoors(t *rapid.T, v view, c Packet, pairs *tier.Pairs) {
	local, peer := s.peers(c)
	one, many := s.model.Pair(v.same, c.Direction, local, peer), pairs.With(local, peer)
	cuts := s.model.Cuts(v.same, c.Direction, local, peer)
	if !reflect.DeepEqual(cuts, one.Cuts()) || !reflect.DeepEqual(cuts, many.Cuts()) {
		t.Fatalf("cuts %+v, of the pair %+v, of the pairs %+v\n%s", cuts, one.Cuts(), many.Cuts(), s.describe(v.scope, c))
	}
	for _, service := range v.services {
		c := c.Over(service)
		local, peer = s.peers(c)
		one, many = s.model.Pair(v.same, c.Direction, local, peer), pairs.With(local, peer)
		proto, port := policy.Protocol(c.Protocol), uint16(c.Port)
		want := s.Judge(v.scope, c)
		explained := s.model.Explain(v.same, c.Direction, local, peer, proto, port)
		traced := s.model.Trace(v.same, c.Direction, local, peer, proto, port)
		for door, got := range map[string]tier.Verdict{
			"Pair": one.Judge(proto, port), "Pairs": many.Judge(proto, port), "Explain": explained.Verdict, "Trace": traced.Verdict,
		} {
			if a := (Answer{Action: got.Action, By: got.By, Logs: got.Logs}); !sameAnswer(want, a) {
				t.Fatalf("%s: want %+v\n got %+v\n%s", door, want, a, s.describe(v.scope, c))
			}
		}
		s.checkSteps(t, v.scope, c, explained)
	}
}

// checkSteps compares every rule that an explanation says was tried.
func (s *subject) checkSteps(t *rapid.T, scope Scope, c Packet, explained tier.Explanation) {
	for _, step := range explained.Tiers {
		for _, told := range step.Policies {
			p := s.find(told.Policy.Key)
			if p == nil {
				t.Fatalf("explains with %s, which there is not\n%s", told.Policy.Key, s.describe(scope, c))
			}
			for _, r := range told.Rules {
				if p.Kube != nil || p.Cluster != nil {
					continue // its rules have other numbers
				}
				action, matches := s.rule(p, r.Index, c)
				if matches != r.Matched || action != r.Action || r.Matched != (r.Failed == "") {
					t.Fatalf("%s rule %d: %s, matches %v; explained as %+v\n%s", p.Key(), r.Index, action, matches, r, s.describe(scope, c))
				}
			}
		}
	}
}

// find is the policy of a key, or the staged one that the key promises.
func (w *World) find(key policy.Key) *Policy {
	for _, p := range w.Policies {
		if p.Key() == key {
			return p
		}
	}
	return nil
}

// checkSelecting compares the list of policies that judge an endpoint.
func (s *subject) checkSelecting(t *rapid.T, v scopePair, dir policy.Direction, local End) {
	var want, got []policy.Key
	inForce := s.inForce(v.scope)
	for _, tier := range s.tiers(inForce) {
		for _, p := range s.policies(tier, inForce) {
			if s.acts(p, dir) && s.selects(p, local.Pod) {
				want = append(want, p.Key())
			}
		}
	}
	for _, p := range s.model.Selecting(v.same, dir, s.peer(local).Endpoint) {
		got = append(got, p.Key)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s of %s, scope %+v: policies %v, want %v\n\nThe world:\n%s", dir, local, v.scope, got, want, s.Manifests())
	}
}

// TestS10_EvaluateJudgesBothEnds: and only ends that are endpoints; a pod
// always reaches itself (S32).
func TestS10_EvaluateJudgesBothEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := Worlds().Draw(t, "world")
		services := drawWires(t, w)[:3]
		s := newSubject(t, w, nil)
		for _, source := range w.Ends() {
			for _, destination := range w.Ends() {
				for _, v := range services {
					if source.Meets(destination) {
						s.checkBothEnds(t, source, destination, v)
					}
				}
			}
		}
	})
}

func (s *subject) checkBothEnds(t *rapid.T, source, destination End, v Wire) {
	from := s.peer(source)
	from.Port = uint16(v.SourcePort)
	got := s.model.Evaluate(tier.Enforced(), tier.Conn{
		Source: from, Destination: s.peer(destination), Protocol: policy.Protocol(v.Protocol), Port: uint16(v.Port),
	})
	self := source.Pod != nil && source.Pod == destination.Pod
	want := self || s.Allowed(Scope{}, source, destination, v)
	egress, ingress := source.Pod != nil && !self, destination.Pod != nil && !self // no policy is asked about a pod and itself
	if got.Allowed() != want || (got.Egress != nil) != egress || (got.Ingress != nil) != ingress {
		t.Fatalf("%s to %s, %+v: %+v, want allowed %v\n\nThe world:\n%s", source, destination, v, got, want, s.Manifests())
	}
}
