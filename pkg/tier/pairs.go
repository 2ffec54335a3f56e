package tier

import (
	"math/bits"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// Pairs makes the Pairs of one local endpoint and many peers. Where thousands
// of policies select the endpoint, each with a few peers of its own, a peer
// costs only the rules that name it or that name nobody. Safe for use by
// several goroutines.
type Pairs struct {
	m   *Model
	dir policy.Direction
	w   *walk
	// rules are all rules of the walk, in order.
	rules []ruleAt
	// by lists, by identity, the rules that match few identities, this one
	// among them; rest are the other rules. Both are in order.
	by   map[int32][]int32
	rest []int32
	bare *walk // the walk without any rule
}

// ruleAt is a rule and where in the walk it is.
type ruleAt struct {
	group, policy int32
	rule          *rule
}

// fewPeers is how many identities a rule may match to be listed under each.
const fewPeers = 64

// Pairs prepares for judging local's connections with many peers.
func (m *Model) Pairs(scope Scope, dir policy.Direction, local *policy.Endpoint) *Pairs {
	p := &Pairs{m: m, dir: dir, w: m.walk(m.view(scope), dir, m.ids.of(local)), by: map[int32][]int32{}}
	p.bare = &walk{groups: slices.Clone(p.w.groups)}
	for gi := range p.w.groups {
		p.bare.groups[gi].policies = nil
		for pi, c := range p.w.groups[gi].policies {
			for ri := range c.rules[dir] {
				r := &c.rules[dir][ri]
				n := int32(len(p.rules))
				p.rules = append(p.rules, ruleAt{int32(gi), int32(pi), r})
				if !p.list(n, r) {
					p.rest = append(p.rest, n)
				}
			}
		}
	}
	return p
}

// list puts the rule under each identity that it matches, if those are few.
func (p *Pairs) list(n int32, r *rule) bool {
	if r.peer == noEntity || p.m.entities[r.peer].external || p.m.reaches[r.peer].wide() {
		return false
	}
	col, count := p.m.columns[r.peer], 0
	for _, w := range col {
		count += bits.OnesCount64(w)
	}
	if count > fewPeers {
		return false
	}
	for i, w := range col {
		for ; w != 0; w &= w - 1 {
			id := int32(i*64 + bits.TrailingZeros64(w))
			p.by[id] = append(p.by[id], n)
		}
	}
	return true
}

// With is the Pair of local, which Pairs was made for, and peer.
func (p *Pairs) With(local, peer Peer) *Pair {
	out := &Pair{m: p.m, dir: p.dir, q: p.m.question(p.dir, local, peer, 0, 0), w: p.bare}
	lastGroup, lastPolicy := int32(-1), int32(-1)
	add := func(at ruleAt) {
		if !p.m.endsMatch(at.rule, &out.q) {
			return
		}
		if out.w == p.bare {
			out.w = &walk{groups: slices.Clone(p.bare.groups)}
		}
		g := &out.w.groups[at.group]
		if at.group != lastGroup || at.policy != lastPolicy {
			c := p.w.groups[at.group].policies[at.policy]
			g.policies = append(g.policies, &compiled{Policy: c.Policy})
			lastGroup, lastPolicy = at.group, at.policy
		}
		c := g.policies[len(g.policies)-1]
		c.rules[p.dir] = p.m.resolve(at.rule, &out.q, c.rules[p.dir])
	}
	own, rest := p.by[out.q.peer.id], p.rest
	for len(own)+len(rest) > 0 {
		if len(rest) == 0 || len(own) > 0 && own[0] < rest[0] {
			add(p.rules[own[0]])
			own = own[1:]
		} else {
			add(p.rules[rest[0]])
			rest = rest[1:]
		}
	}
	return out
}
