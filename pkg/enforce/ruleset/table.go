package ruleset

import (
	"net/netip"
	"slices"

	"github.com/netpol-project/netpol/pkg/tier"
)

// class is peers of one identity whose addresses are in the same nets.
type class struct{ identity, net int }

// table is one profile's decisions for one direction and family: what was
// asked of the model, and the elements that follow from it.
type table struct {
	fam *family
	// nets are the prefixes in the rules; segments the ranges between their
	// borders, and around what each of them answers to an address of it that
	// nobody owns.
	nets     []netip.Prefix
	segments []segment
	around   []answerID
	// back is the answer that covers most of the address space: the chain's
	// last rules give it, and elements say only what differs.
	back answerID
	// outside remembers answers by identity for addresses in no net, inside
	// those in one.
	outside []answerID
	inside  map[class]answerID

	buckets map[bucket][]Element
	dirty   bool // buckets or back changed since emit
	sources *Set // that out has
	out     output

	// first is nil but in a variant: a table for a class of source ports other
	// than the first. It holds what differs from the first one and leads there
	// for the rest.
	first *table
	class int
}

// newTable judges everything.
func newTable(f *family, a *asker) *table {
	t := &table{fam: f, inside: map[class]answerID{}}
	t.surround(a)
	t.rebuild(a)
	return t
}

// asker judges for one profile.
type asker struct {
	*shared
	question question
	index    *index
	first    *asker // of a variant: the one for its first table
}

// shared is what all profiles of a chain of compilations share.
type shared struct {
	decisions *decisions
	answers   *answers
}

// ask is the answer for a peer, judged at most once.
func (t *table) ask(a *asker, id int, mb member) answerID {
	net := t.segments[find(t.segments, mb.addr)].net
	if net >= 0 {
		c := class{id, net}
		ans, ok := t.inside[c]
		if !ok {
			ans = a.judge(tier.Peer{Endpoint: mb.ep, Addr: mb.addr})
			t.inside[c] = ans
		}
		return ans
	}
	if id >= len(t.outside) {
		t.outside = append(t.outside, make([]answerID, id+1-len(t.outside))...)
	}
	if t.outside[id] == 0 {
		t.outside[id] = a.judgeIdentity(id, mb)
	}
	return t.outside[id]
}

func (a *asker) judge(p tier.Peer) answerID { return a.answers.judge(&a.question, a.decisions, p) }

// judgeIdentity judges an address that no nets in force tell from others of
// its identity, once for both families if they are alike.
func (a *asker) judgeIdentity(id int, mb member) answerID {
	known, key := a.question.many.byIdentity, sourced{id, a.question.sourcePort}
	if ans, ok := known[key]; ok {
		return ans
	}
	ans := a.judge(tier.Peer{Endpoint: mb.ep, Addr: mb.addr})
	if known != nil {
		known[key] = ans
	}
	return ans
}

// surround judges the addresses that nobody owns. It says whether anything
// differs from before.
func (t *table) surround(a *asker) bool {
	q := &a.question
	nets := t.fam.netsOf(q.model.Nets(q.scope, q.dir, q.local.Endpoint))
	segments := t.segments
	sameNets := segments != nil && slices.Equal(nets, t.nets)
	if !sameNets {
		segments = t.fam.cut(nets)
	}
	byNet := map[int]answerID{}
	around := make([]answerID, len(segments))
	for i, s := range segments {
		ans, ok := byNet[s.net]
		if !ok {
			ans = a.judge(tier.Peer{Addr: s.lo})
			byNet[s.net] = ans
		}
		around[i] = ans
	}
	if sameNets && slices.Equal(around, t.around) {
		return false
	}
	if !sameNets {
		t.inside = map[class]answerID{}
	}
	t.nets, t.segments, t.around = nets, segments, around
	t.back = heaviest(segments, around)
	return true
}

// heaviest is the answer that most addresses get; the first one on a tie.
func heaviest(segments []segment, around []answerID) answerID {
	weight := map[answerID]float64{}
	best := around[0]
	for i, s := range segments {
		weight[around[i]] += size(s)
	}
	for _, ans := range around {
		if weight[ans] > weight[best] {
			best = ans
		}
	}
	return best
}

// size is about how many addresses a segment has.
func size(s segment) float64 {
	lo, hi := s.lo.AsSlice(), s.hi.AsSlice()
	n := 0.0
	for i := range lo {
		n = n*256 + float64(hi[i]) - float64(lo[i])
	}
	return n + 1
}

// planFor is the elements that a known peer's address needs.
func (t *table) planFor(a *asker, id int, mb member) plan {
	at := find(t.segments, mb.addr)
	behind := t.around[at]
	if t.asFirst(at) {
		behind = t.first.ask(a.first, id, mb)
	}
	return a.answers.plan(t.ask(a, id, mb), behind)
}

// asFirst says whether the first table decides for a segment's addresses, too.
// All tables of a profile have the same segments.
func (t *table) asFirst(segment int) bool {
	return t.first != nil && t.first.around[segment] == t.around[segment]
}

// whole says whether the table leaves nothing to another one.
func (t *table) whole() bool {
	for i := range t.segments {
		if t.asFirst(i) {
			return false
		}
	}
	return true
}

// rebuild makes all elements anew.
func (t *table) rebuild(a *asker) {
	var l load
	for id := range a.index.groups {
		members := a.index.groups[id][t.fam.index]
		var p plan
		for i, mb := range members {
			if i == 0 || len(t.segments) > 1 { // else one answer goes for all of them
				p = t.planFor(a, id, mb)
			}
			if len(p) > 0 {
				l.add(stagePeers, mb.addr, mb.addr, p)
			} else if len(t.segments) == 1 {
				break
			}
		}
	}
	t.addNets(a, &l)

	old := t.buckets
	t.buckets = make(map[bucket][]Element, len(l))
	for b, r := range l {
		list := r.elements()
		if b.stage == stageNets && b.level == levelAddr {
			list = join(list)
		}
		if slices.Equal(list, old[b]) {
			list = old[b] // so that a diff sees at once that nothing changed
		}
		t.buckets[b] = list
	}
	t.dirty = true
}

// addNets adds the elements for addresses that nobody owns, and for all others.
func (t *table) addNets(a *asker, l *load) {
	back, whole := t.back, t.whole()
	if !whole {
		back = 0 // what differs from the first table leaves nothing to it
	}
	for i := 0; i < len(t.segments); i++ {
		j := i
		for j+1 < len(t.segments) && t.around[j+1] == t.around[i] && t.asFirst(j+1) == t.asFirst(i) {
			j++
		}
		if !t.asFirst(i) {
			l.add(stageNets, t.segments[i].lo, t.segments[j].hi, a.answers.plan(t.around[i], back))
		}
		i = j
	}
	if whole {
		l.add(stageRest, netip.Addr{}, netip.Addr{}, a.answers.plan(t.back, 0))
	}
}
