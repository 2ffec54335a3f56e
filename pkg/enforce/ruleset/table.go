package ruleset

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/tier"
)

// class is peers of one identity whose addresses the rules don't tell apart.
type class struct{ identity, net int }

// table is one profile's decisions for one direction and family: what was
// asked of the model, and the elements that follow from it.
type table struct {
	fam *family
	// ground is how the rules divide addresses, around what each class answers
	// to an address of it that nobody owns, by class + 1.
	ground *ground
	around []answerID
	// back is the answer that covers most of the address space: the chain's
	// last rules give it, and elements say only what differs.
	back answerID
	// outside remembers answers by identity for addresses in no net, inside
	// those in one.
	outside []answerID
	inside  map[class]answerID

	buckets map[bucket][]Element
	long    map[bucket]string // names of lists that profiles share
	dirty   bool              // buckets or back changed since emit
	sources *Set              // that out has
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

func (t *table) terrain() *terrain { return t.ground.terrains[t.fam.index] }

// ask is the answer for a peer whose address is in a class, judged at most once.
func (t *table) ask(a *asker, id int, mb member, in int) answerID {
	if in >= 0 {
		c := class{id, in}
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

// surround judges the addresses that nobody owns. It says whether anything
// differs from before.
func (t *table) surround(a *asker) bool {
	same := t.ground == a.ground
	at := a.ground.terrains[t.fam.index]
	around := make([]answerID, len(at.names)+1)
	for _, c := range at.order {
		around[c+1] = a.judge(tier.Peer{Addr: at.samples[c+1]})
	}
	if same && slices.Equal(around, t.around) {
		return false
	}
	if !same {
		t.inside = map[class]answerID{}
	}
	t.ground, t.around = a.ground, around
	t.back = at.heaviest(around)
	return true
}

// planFor is the elements that a known peer's address needs.
func (t *table) planFor(a *asker, id int, mb member) plan {
	return t.planIn(a, id, mb, t.terrain().class(mb.addr))
}

// planIn is planFor where the class of the address is known.
func (t *table) planIn(a *asker, id int, mb member, in int) plan {
	behind := t.around[in+1]
	if t.asFirst(in) {
		behind = t.first.ask(a.first, id, mb, in)
	}
	return a.answers.plan(t.ask(a, id, mb, in), behind)
}

// asFirst says whether the first table decides for a class's addresses, too.
// All tables of a profile have the same ground.
func (t *table) asFirst(class int) bool {
	return t.first != nil && t.first.around[class+1] == t.around[class+1]
}

// whole says whether the table leaves nothing to another one.
func (t *table) whole() bool { return !slices.ContainsFunc(t.terrain().order, t.asFirst) }

// rebuild makes all elements anew.
func (t *table) rebuild(a *asker) {
	var l load
	for id := range a.index.groups {
		members := a.index.groups[id][t.fam.index]
		var p plan
		if at := t.terrain(); len(at.segments) == 1 { // one answer goes for all of them
			if len(members) > 0 {
				p = t.planIn(a, id, members[0], at.order[0])
			}
			l.addPeers(members, p)
			continue
		}
		classes := t.terrain().of(id, members)
		for i := 0; i < len(members); {
			j := i
			for j < len(members) && classes[j] == classes[i] {
				j++
			}
			l.addPeers(members[i:j], t.planIn(a, id, members[i], int(classes[i])))
			i = j
		}
	}
	nets := t.nets(a, &l)

	old := t.buckets
	t.buckets = make(map[bucket][]Element, len(l))
	for b, r := range l {
		nets[b] = r.elements()
	}
	for b, list := range nets {
		if sameElements(list, old[b]) {
			list = old[b] // so that a diff sees at once that nothing changed
		}
		t.buckets[b] = list
	}
	t.dirty = true
}
