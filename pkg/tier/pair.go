package tier

import "github.com/netpol-project/netpol/pkg/policy"

// Pair is one local endpoint's policies in one direction, cut down to the
// rules that can match one peer. Judging many protocols and ports of the same
// pair is cheap with it.
type Pair struct {
	m   *Model
	dir policy.Direction
	q   question
	w   *walk
}

// Pair prepares for judging several connections between the same two ends.
func (m *Model) Pair(scope Scope, dir policy.Direction, local, peer Peer) *Pair {
	p := &Pair{m: m, dir: dir, q: m.question(local, peer, 0, 0), w: &walk{}}
	full := m.walk(m.view(scope), dir, p.q.local.id)
	p.w.groups = make([]group, len(full.groups))
	for gi := range full.groups {
		g := full.groups[gi]
		var kept []*compiled
		for _, c := range g.policies {
			var rules []rule
			for i := range c.rules[dir] {
				if r := &c.rules[dir][i]; m.endsMatch(r, &p.q) {
					rules = append(rules, *r)
				}
			}
			if len(rules) > 0 {
				k := &compiled{Policy: c.Policy}
				k.rules[dir] = rules
				kept = append(kept, k)
			}
		}
		g.policies = kept
		p.w.groups[gi] = g
	}
	return p
}

// Judge is Model.Judge for the pair.
func (p *Pair) Judge(proto policy.Protocol, port uint16) Verdict {
	q := p.q
	q.protocol, q.port = proto, port
	return p.m.judge(p.w, p.dir, &q)
}

// Cuts is Model.Cuts for the pair.
func (p *Pair) Cuts() Cuts { return p.m.cuts(p.w, p.dir, &p.q) }

// Selecting lists the policies that judge local in a direction, in order.
func (m *Model) Selecting(scope Scope, dir policy.Direction, local *policy.Endpoint) []*policy.Policy {
	var out []*policy.Policy
	for _, g := range m.walk(m.view(scope), dir, m.ids.of(local)).groups {
		for _, c := range g.policies {
			out = append(out, c.Policy)
		}
	}
	return out
}
