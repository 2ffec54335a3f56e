package connectivity

import (
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// differ compares two views, pair by pair. It is for one goroutine.
type differ struct {
	before, after *judge
}

// twoCells is some pairs of pods that are judged alike in either view. A cell
// without sides is of a view in which they are not there.
type twoCells struct{ before, after cell }

func (c *cell) absent() bool { return c.egress == nil }

// pair lists the changes between two groups.
func (d *differ) pair(src, dst *joint) []Change {
	b := changeBuilder{index: map[changeKey]int{}}
	d.collect(src, dst, &b)
	if len(b.cells) == 0 {
		return nil
	}
	protos := protocols(b.sides)
	b.look(unlisted(protos), allPorts)
	for i := range b.rows {
		b.rows[i].others = true
	}
	b.ranges = make([][]policy.PortRange, len(b.rows))
	for _, proto := range protos {
		for r := range intervals(b.sides, proto) {
			b.look(proto, r)
		}
		b.close(proto)
	}
	return b.finish(src, dst)
}

// collect finds the cells of two groups.
func (d *differ) collect(src, dst *joint, b *changeBuilder) {
	was, is := 0, 0 // pairs of pods
	for i := range src.parties {
		for k := range dst.parties {
			s, t := &src.parties[i], &dst.parties[k]
			pairs := s.pods * t.pods
			if src.node == dst.node && i == k {
				pairs -= s.pods // a pod is not paired with itself (S32)
			}
			if pairs > 0 {
				d.meet(s, t, pairs, b)
			}
			if s.before != nil && t.before != nil {
				was += pairs
			}
			if s.after != nil && t.after != nil {
				is += pairs
			}
		}
	}
	b.pairs = max(was, is)
	for i := range b.cells {
		c := &b.cells[i]
		b.hasBefore = b.hasBefore || !c.before.absent()
		b.hasAfter = b.hasAfter || !c.after.absent()
		b.common = b.common || !c.before.absent() && !c.after.absent()
		for _, x := range []cell{c.before, c.after} {
			if !x.absent() {
				b.sides = append(b.sides, x)
			}
		}
	}
}

// meet adds the cells of two parties, one for each family in which they meet. A
// family that one view does not have is compared with that view's first one.
func (d *differ) meet(s, t *jointParty, pairs int, b *changeBuilder) {
	var fb, fa []int
	if s.before != nil && t.before != nil {
		fb = families(s.before, t.before)
	}
	if s.after != nil && t.after != nil {
		fa = families(s.after, t.after)
	}
	all := slices.Concat(fb, fa)
	slices.Sort(all)
	for _, f := range slices.Compact(all) {
		c := twoCells{cell{pairs: pairs}, cell{pairs: pairs}}
		if len(fb) > 0 {
			c.before = d.before.one(s.before, t.before, orFirst(fb, f), pairs)
		}
		if len(fa) > 0 {
			c.after = d.after.one(s.after, t.after, orFirst(fa, f), pairs)
		}
		b.cells = append(b.cells, c)
	}
}

func orFirst(list []int, f int) int {
	if slices.Contains(list, f) {
		return f
	}
	return list[0]
}

// one is the cell of two parties.
func (j *judge) one(s, d *party, family, pairs int) cell {
	return cell{j.side(policy.Egress, s, d, family), j.side(policy.Ingress, d, s, family), pairs}
}
