package tier

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// JudgePorts is Judge for many ports of one protocol that has ports, or types
// and codes (S22). They must be sorted, and each is called for every one, in order. It goes through
// the rules once and not once for each port, so that thousands of rules that
// name a port each cost thousands of steps and not millions.
func (p *Pair) JudgePorts(proto policy.Protocol, ports []uint16, each func(i int, v Verdict)) {
	if len(ports) <= fewPorts {
		for i, port := range ports {
			each(i, p.Judge(proto, port))
		}
		return
	}
	s := sweep{
		pair: p, ports: ports,
		by: make([]ruleRef, len(ports)), next: make([]int32, len(ports)+1),
	}
	for gi := range p.w.groups {
		if !s.tier(int32(gi), proto) {
			break
		}
	}
	for i := range ports {
		each(i, s.verdict(int32(i)))
	}
}

// fewPorts is up to how many ports one walk for each is as fast.
const fewPorts = 4

// ruleRef is a rule of the pair's walk, or (rule is policy.EndOfTier) the end
// of a tier. group counts from 1; the zero ruleRef is no rule at all.
type ruleRef struct{ group, policy, rule int32 }

// sweep holds what is decided so far of the ports. Where there are no Log
// rules, it has no pointers for each port: thousands of them are no work for
// the collector.
type sweep struct {
	pair  *Pair
	ports []uint16
	// by is what decided each port; zero: nothing yet.
	by []ruleRef
	// next leads from a port to the nearest one, itself included, that is
	// still to be judged in the present tier.
	next []int32
	logs map[int32][]ruleRef // Log rules that a port has met
}

// tier takes the ports through one tier; false if none is left.
func (s *sweep) tier(gi int32, proto policy.Protocol) bool {
	count, left := int32(len(s.ports)), false
	for i := range count {
		s.next[i] = i
		if s.by[i].group > 0 {
			s.next[i] = i + 1
		} else {
			left = true
		}
	}
	s.next[count] = count
	if !left {
		return false
	}
	q := s.pair.q
	q.protocol = proto
	q.settle()
	g, late := &s.pair.w.groups[gi], s.pair.q.version == 0
	for pi, c := range g.policies {
		rules := c.rules[s.pair.dir]
		for i := range rules {
			r := &rules[i]
			if r.protocol != 0 && r.protocol != proto || r.notProtocol != 0 && r.notProtocol == proto ||
				len(r.ports) > 0 && !r.hasThem(proto) || late && !q.versionMatches(r) {
				continue
			}
			s.apply(r, proto, ruleRef{gi + 1, int32(pi), int32(i)})
			if s.find(0) == count {
				return true // nothing is left to judge in this tier
			}
		}
	}
	if g.tier.DefaultAction != policy.Pass { // S8
		for i := s.find(0); i < count; i = s.find(i + 1) {
			s.decide(i, ruleRef{group: gi + 1, rule: policy.EndOfTier})
		}
	}
	return true
}

// apply lets a rule that matches but for its ports take its part.
func (s *sweep) apply(r *rule, proto policy.Protocol, ref ruleRef) {
	not := r.notPorts
	if !r.hasThem(proto) {
		not = nil
	}
	if len(r.ports) == 0 {
		s.within(r.action, not, ref, 0, len(s.ports))
		return
	}
	for _, pr := range r.ports {
		from, _ := slices.BinarySearch(s.ports, pr.Min)
		to := len(s.ports)
		if next := from + 1; next < to && s.ports[from] <= pr.Max && s.ports[next] > pr.Max {
			to = next // one port, mostly
		} else if pr.Max < 65535 {
			to, _ = slices.BinarySearch(s.ports, pr.Max+1)
		}
		s.within(r.action, not, ref, int32(from), to)
	}
}

// within applies a rule to the ports from one index to before another,
// but those in not.
func (s *sweep) within(action policy.Action, not []policy.PortRange, ref ruleRef, from int32, to int) {
	for i := s.find(from); i < int32(to); i = s.find(i + 1) {
		if inRanges(not, s.ports[i]) {
			continue
		}
		switch action {
		case policy.Log: // S7
			s.log(i, ref)
		case policy.Pass: // S6
			s.next[i] = i + 1
		default: // S5
			s.decide(i, ref)
		}
	}
}

// log notes a Log rule, once also if its ranges overlap.
func (s *sweep) log(i int32, ref ruleRef) {
	if s.logs == nil {
		s.logs = map[int32][]ruleRef{}
	}
	if list := s.logs[i]; len(list) == 0 || list[len(list)-1] != ref {
		s.logs[i] = append(list, ref)
	}
}

func (s *sweep) decide(i int32, ref ruleRef) {
	s.by[i] = ref
	s.next[i] = i + 1
}

// find is the first port from i on that is still to be judged in this tier.
func (s *sweep) find(i int32) int32 {
	for s.next[i] != i {
		s.next[i] = s.next[s.next[i]] // shorter for the next one who asks
		i = s.next[i]
	}
	return i
}

func (s *sweep) verdict(i int32) Verdict {
	v := Verdict{Action: policy.Allow, By: policy.Hit{Rule: policy.NoPolicy, Action: policy.Allow}} // S9
	if ref := s.by[i]; ref.group > 0 {
		v.By = s.hit(ref)
		v.Action = v.By.Action
	}
	for _, ref := range s.logs[i] {
		v.Logs = append(v.Logs, s.hit(ref))
	}
	return v
}

func (s *sweep) hit(ref ruleRef) policy.Hit {
	g := &s.pair.w.groups[ref.group-1]
	if ref.rule == policy.EndOfTier {
		return hit(g, g.last, policy.EndOfTier, policy.Deny)
	}
	c := g.policies[ref.policy]
	r := &c.rules[s.pair.dir][ref.rule]
	return hit(g, c.Key, int(r.index), r.action)
}
