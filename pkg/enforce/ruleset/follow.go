package ruleset

import (
	"net/netip"
	"slices"
)

// follow brings the table to the asker's model. again are the identities that
// have to be judged again, unless it is all of them.
func (t *table) follow(a *asker, p *profile, c *changes, again []int, all bool) {
	moved := false // the background changed, so every element may
	if !p.unchanged {
		t.dirty = true // at least the chain's comment
		moved = t.surround(a)
	}
	switch {
	case all:
		clear(t.outside)
		clear(t.inside)
		t.rebuild(a)
	case moved:
		for _, id := range slices.Concat(again, c.fresh) {
			t.forget(id)
		}
		t.rebuild(a)
	case len(again)+len(c.moves) > 0:
		t.update(a, c, again)
	}
}

// update moves single addresses from one answer to another: those that changed
// hands, and those of identities to judge again.
func (t *table) update(a *asker, c *changes, again []int) {
	var gone, come load // most tables need neither
	var moved []netip.Addr
	for _, mv := range c.moves {
		if familyOf(mv.addr) != t.fam.index || mv.same {
			continue
		}
		moved = append(moved, mv.addr)
		if mv.from >= 0 {
			gone.add(stagePeers, mv.addr, mv.addr, t.planFor(a, mv.from, member{addr: mv.addr}))
		}
	}
	t.judgeAgain(a, again, moved, &gone, &come)
	for _, id := range c.fresh {
		t.forget(id)
	}
	for _, mv := range c.moves {
		if mv.to >= 0 && slices.Contains(moved, mv.addr) {
			come.add(stagePeers, mv.addr, mv.addr, t.planFor(a, mv.to, member{mv.addr, a.index.model.Owner(mv.addr)}))
		}
	}
	t.apply(gone, come)
}

// judgeAgain compares what identities got with what they get now.
func (t *table) judgeAgain(a *asker, ids []int, moved []netip.Addr, gone, come *load) {
	var before []plan
	for _, id := range ids {
		if id >= len(a.index.groups) {
			continue
		}
		members := a.index.groups[id][t.fam.index]
		before = before[:0]
		for _, mb := range members {
			before = append(before, t.planFor(a, id, mb))
		}
		t.forget(id)
		for i, mb := range members {
			now := t.planFor(a, id, mb)
			if slices.Equal(now, before[i]) || slices.Contains(moved, mb.addr) {
				continue
			}
			gone.add(stagePeers, mb.addr, mb.addr, before[i])
			come.add(stagePeers, mb.addr, mb.addr, now)
		}
	}
}

// forget drops what is remembered of an identity.
func (t *table) forget(id int) {
	if id < len(t.outside) {
		t.outside[id] = 0
	}
	for c := range t.inside {
		if c.identity == id {
			delete(t.inside, c)
		}
	}
}

// apply changes the buckets.
func (t *table) apply(gone, come load) {
	if len(gone)+len(come) == 0 {
		return
	}
	touched := map[bucket]bool{}
	for b := range gone {
		touched[b] = true
	}
	for b := range come {
		touched[b] = true
	}
	for b := range touched {
		var g, c []Element
		if r := gone[b]; r != nil {
			g = r.elements()
		}
		if r := come[b]; r != nil {
			c = r.elements()
		}
		if slices.Equal(g, c) {
			continue
		}
		t.dirty = true
		if list := merge(t.buckets[b], g, c); len(list) > 0 {
			t.buckets[b] = list
		} else {
			delete(t.buckets, b)
		}
	}
}
