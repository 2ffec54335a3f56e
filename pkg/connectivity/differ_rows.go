package connectivity

import (
	"github.com/netpol-project/netpol/pkg/policy"
)

// changeBuilder gathers the changes of one pair of groups.
type changeBuilder struct {
	cells []twoCells
	sides []cell // of both views
	// hasBefore and hasAfter: some pods are there; common: in both views.
	hasBefore, hasAfter, common bool
	pairs                       int // of pods, in the view that has more of them
	rows                        []changeRow
	index                       map[changeKey]int
	ranges                      [][]policy.PortRange // by row, of the present protocol
}

// changeKey tells rows of one pair apart.
type changeKey struct {
	added         bool
	before, after Answer
}

type changeRow struct {
	changeKey
	others  bool
	protos  []ProtocolPorts
	changed int
}

// look compares the views on an interval in which neither changes.
func (b *changeBuilder) look(proto policy.Protocol, r policy.PortRange) {
	before, after := b.status(proto, r.Min)
	var counts map[changeKey]int
	for i := range b.cells {
		if k, ok := b.compare(&b.cells[i], proto, r.Min, before, after); ok {
			if counts == nil {
				counts = map[changeKey]int{}
			}
			counts[k] += max(b.cells[i].before.pairs, b.cells[i].after.pairs)
			b.row(k)
		}
	}
	for k, n := range counts {
		i := b.index[k]
		b.rows[i].changed = max(b.rows[i].changed, min(n, b.pairs))
		if b.ranges != nil {
			b.ranges[i] = addRange(b.ranges[i], r)
		}
	}
}

func (b *changeBuilder) row(k changeKey) {
	if _, ok := b.index[k]; ok {
		return
	}
	b.index[k] = len(b.rows)
	b.rows = append(b.rows, changeRow{changeKey: k})
	if b.ranges != nil {
		b.ranges = append(b.ranges, nil)
	}
}

// close ends a protocol.
func (b *changeBuilder) close(proto policy.Protocol) {
	for i := range b.rows {
		b.rows[i].protos = append(b.rows[i].protos, ProtocolPorts{proto, b.ranges[i]})
		b.ranges[i] = nil
	}
}

// answered is how many of a view's cells allow a connection.
type answered struct{ allow, all int }

func (a answered) none() bool { return a.allow == 0 }
func (a answered) full() bool { return a.allow == a.all }

func (b *changeBuilder) status(proto policy.Protocol, port uint16) (before, after answered) {
	count := func(c *cell, a *answered) {
		if c.absent() {
			return
		}
		a.all++
		if c.allows(proto, port) {
			a.allow++
		}
	}
	for i := range b.cells {
		count(&b.cells[i].before, &before)
		count(&b.cells[i].after, &after)
	}
	return before, after
}

// compare says whether a cell changes, and how. Pods that one view lacks are
// compared with the others there.
func (b *changeBuilder) compare(c *twoCells, proto policy.Protocol, port uint16, before, after answered) (changeKey, bool) {
	was := !c.before.absent() && c.before.allows(proto, port)
	is := !c.after.absent() && c.after.allows(proto, port)
	changes := was != is
	switch {
	case c.before.absent() && b.hasBefore: // new pods of what was there
		was = before.full()
		changes = is != was && (before.full() || before.none())
	case c.after.absent() && b.hasAfter:
		is = after.full()
		changes = !b.common && is != was && (after.full() || after.none()) && !before.full() && !before.none()
	}
	if !changes {
		return changeKey{}, false
	}
	return changeKey{is, b.answer(&c.before, false, was, proto, port), b.answer(&c.after, true, is, proto, port)}, true
}

// answer is what a view says about a cell, or about another one if the view
// lacks the cell's pods.
func (b *changeBuilder) answer(c *cell, after, allowed bool, proto policy.Protocol, port uint16) Answer {
	for i := 0; c.absent() && i < len(b.cells); i++ {
		if other := &b.cells[i]; after {
			c = &other.after
		} else {
			c = &other.before
		}
	}
	if c.absent() {
		return Answer{Absent: true}
	}
	by, dir := c.by(proto, port)
	return Answer{Allowed: allowed, By: *by, Direction: dir}
}

// finish makes the changes of the rows.
func (b *changeBuilder) finish(src, dst *joint) []Change {
	var out []Change
	for i := range b.rows {
		r := &b.rows[i]
		c := Change{Source: src.node, Destination: dst.node, Added: r.added, Before: r.before, After: r.after, Changed: r.changed, Pairs: b.pairs}
		c.What.Others = r.others
		for _, p := range r.protos {
			c.What.set(p.Protocol, p.Ranges)
		}
		for _, p := range dst.ports {
			if c.What.Contains(p.Protocol, p.Port) {
				c.Declared = append(c.Declared, p)
			}
		}
		out = append(out, c)
	}
	return out
}
