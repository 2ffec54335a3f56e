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
	p := &Pair{m: m, dir: dir, q: m.question(dir, local, peer, 0, 0), w: &walk{}}
	full := m.walk(m.view(scope), dir, p.q.local.id)
	p.w.groups = make([]group, len(full.groups))
	for gi := range full.groups {
		g := full.groups[gi]
		kept := make([]*compiled, 0, len(g.policies))
		for _, c := range g.policies {
			if k := m.cutDown(c, dir, &p.q); k != nil {
				kept = append(kept, k)
			}
		}
		g.policies = kept
		p.w.groups[gi] = g
	}
	return p
}

// ByAddress tells whether some policy that judges local in a direction looks at
// addresses: if not, all addresses of an endpoint, of either family, get the
// same verdicts.
func (m *Model) ByAddress(scope Scope, dir policy.Direction, local *policy.Endpoint) bool {
	return m.walk(m.view(scope), dir, m.ids.of(local)).nets
}

// cutDown is c with those rules only that can match the ends of q: c itself if
// all can as they are, nil if none can.
func (m *Model) cutDown(c *compiled, dir policy.Direction, q *question) *compiled {
	all, count, same := c.rules[dir], 0, true
	for i := range all {
		if m.endsMatch(&all[i], q) {
			count++
			same = same && all[i].by == nil
		}
	}
	switch {
	case count == 0:
		return nil
	case count == len(all) && same:
		return c
	}
	k := &compiled{Policy: c.Policy}
	rules := make([]rule, 0, count)
	for i := range all {
		if m.endsMatch(&all[i], q) {
			rules = m.resolve(&all[i], q, rules)
		}
	}
	if len(rules) == 0 {
		return nil
	}
	k.rules[dir] = rules
	return k
}

// Judge is Model.Judge for the pair.
func (p *Pair) Judge(proto policy.Protocol, port uint16) Verdict {
	q := p.q
	q.protocol, q.port = proto, port
	q.settle()
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
