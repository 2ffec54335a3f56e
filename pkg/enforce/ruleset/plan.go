package ruleset

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// level is how much of a packet a table looks at beside the address; tables
// are asked in this order, so a more specific element overrides a less
// specific one.
type level uint8

const (
	levelPort  level = iota // protocol and one port, or one type and code
	levelRange              // protocol and a range of ports
	levelProto              // protocol
	levelAddr               // nothing else
)

// item is one element of a table, the address aside.
type item struct {
	level  level
	proto  policy.Protocol
	lo, hi uint16
	dec    decision
}

// plan is the elements that make a look-up answer g where, without them, it
// would fall through to answer s. It is as short as two levels of defaults
// make it.
type plan []item

// plan for the answer g before a background s (0: nothing behind it).
func (a *answers) plan(g, s answerID) plan {
	if g == s {
		return nil
	}
	key := [2]answerID{g, s}
	p, ok := a.plans[key]
	if !ok {
		if s == 0 {
			p = base(a.get(g))
		} else {
			p = difference(a.get(g), a.get(s))
		}
		a.plans[key] = p
	}
	return p
}

// base is the plan of an answer with nothing behind it: its rest decides all
// that no more specific element does.
func base(g *answer) plan {
	flat := &answer{rest: g.rest}
	return append(overrides(g, flat), item{level: levelAddr, dec: g.rest})
}

func difference(g, s *answer) plan {
	flat := &answer{rest: g.rest}
	covered := append(overrides(g, flat), item{level: levelAddr, dec: g.rest})
	// Protocols without end can only be said by an element for the address.
	if g.rest != s.rest {
		return covered
	}
	if bare := overrides(g, s); cost(bare) <= cost(covered) {
		return bare
	}
	return covered
}

// overrides are the elements for single protocols that turn s into g.
func overrides(g, s *answer) plan {
	var protos []policy.Protocol
	for i := range g.protos {
		protos = append(protos, g.protos[i].proto)
	}
	for i := range s.protos {
		protos = append(protos, s.protos[i].proto)
	}
	slices.Sort(protos)
	var out plan
	for _, p := range slices.Compact(protos) {
		out = append(out, protoPlan(p, g.steps(p), s.steps(p))...)
	}
	return out
}

// protoPlan turns what s says of a protocol into what g says, either port by
// port or by a new default for the protocol and exceptions to it.
func protoPlan(p policy.Protocol, g, s []step) plan {
	best, ok := ports(p, g, s)
	if ok && len(best) == 0 {
		return nil
	}
	var tried []decision
	for _, st := range g {
		if slices.Contains(tried, st.dec) {
			continue
		}
		tried = append(tried, st.dec)
		rest, _ := ports(p, g, []step{{0, st.dec}})
		if try := append(rest, item{level: levelProto, proto: p, dec: st.dec}); !ok || cost(try) < cost(best) {
			best, ok = try, true
		}
		if len(tried) == 8 { // enough: more kinds of decision are not worth the search
			break
		}
	}
	return best
}

// ports are the intervals in which g and s differ. It is false if that is the
// whole protocol, which only an element without port may say: a protocol
// that is not divisible has nothing to look up.
func ports(p policy.Protocol, g, s []step) (plan, bool) {
	var out plan
	for i, j := 0, 0; i < len(g) && j < len(s); {
		lo := max(g[i].from, s[j].from)
		hi, nextI, nextJ := uint16(65535), i+1, j+1
		endG, endS := end(g, i), end(s, j)
		hi = min(endG, endS)
		if endG > hi {
			nextI = i
		}
		if endS > hi {
			nextJ = j
		}
		if g[i].dec != s[j].dec {
			out = addInterval(out, item{level: levelRange, proto: p, lo: lo, hi: hi, dec: g[i].dec})
		}
		i, j = nextI, nextJ
	}
	if len(out) == 1 && out[0].lo == 0 && out[0].hi == 65535 {
		return nil, false
	}
	for i := range out {
		if out[i].lo == out[i].hi {
			out[i].level = levelPort
		}
	}
	// Different decisions side by side may cover everything too.
	return out, divisible(p) || len(out) == 0
}

// addInterval appends it, joined to its neighbour where both say the same.
func addInterval(out plan, it item) plan {
	if n := len(out); n > 0 && out[n-1].dec == it.dec && out[n-1].hi+1 == it.lo {
		out[n-1].hi = it.hi
		return out
	}
	return append(out, it)
}

func end(s []step, i int) uint16 {
	if i+1 < len(s) {
		return s[i+1].from - 1
	}
	return 65535
}

// cost prefers elements of hash sets to elements of interval sets, which the
// kernel commits and searches more slowly.
func cost(p plan) int {
	n := 0
	for i := range p {
		n++
		if p[i].level == levelRange {
			n += 2
		}
	}
	return n
}
