package ruleset

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"

	"github.com/netpol-project/netpol/pkg/tier"
)

// ground is how the rules of profiles divide the addresses: into classes that
// they judge alike. Profiles whose rules look at the same nets share it, and
// what follows from it; so ten thousand networks in a set cost a profile no
// more than one.
type ground struct {
	key      string // by name of what it is made from, not by content
	groups   []tier.GroundGroup
	terrains [2]*terrain // by family
}

// terrain is the addresses of one family.
type terrain struct {
	fam    *family
	ground string // its key
	// segments cover all addresses in order; their net is a class, or -1 where
	// no net is.
	segments []segment
	// names tell classes the same way as long as the rules are the same.
	names []string
	// order is the classes as they first come in segments, -1 among them,
	// weights about how many addresses each has, samples one of them; both by
	// class + 1.
	order   []int
	weights []float64
	samples []netip.Addr

	lists map[string]*netList
	// peers are the classes of known peers by identity, nil where not asked yet.
	peers [][]int32
}

// grounds are those in use.
type grounds struct {
	known map[string]*ground
	used  map[string]bool // in this compilation
}

// of finds or makes a ground.
func (gs *grounds) of(g tier.Ground) *ground {
	var b strings.Builder
	for _, n := range g.Nets {
		a := n.Addr().As16()
		b.Write(a[:])
		b.WriteByte(byte(n.Bits()))
		b.WriteByte(byte(n.Addr().BitLen()))
	}
	for i := range g.Groups {
		fmt.Fprintf(&b, "%d:%s", len(g.Groups[i].Name), g.Groups[i].Name)
	}
	key := b.String()
	known := gs.known[key]
	if known == nil || !gs.used[key] && !slices.EqualFunc(known.groups, g.Groups, sameGroup) {
		known = newGround(key, g)
		gs.known[key] = known
	}
	gs.used[key] = true
	return known
}

func sameGroup(a, b tier.GroundGroup) bool {
	return len(a.Nets) == len(b.Nets) && (len(a.Nets) == 0 || &a.Nets[0] == &b.Nets[0] || slices.Equal(a.Nets, b.Nets))
}

// sweep forgets grounds that nobody uses any more.
func (gs *grounds) sweep() {
	for key := range gs.known {
		if !gs.used[key] {
			delete(gs.known, key)
		}
	}
	clear(gs.used)
}

// peersMoved voids what is remembered of known peers' addresses.
func (gs *grounds) peersMoved() {
	for _, g := range gs.known {
		for _, t := range g.terrains {
			t.peers = nil
		}
	}
}

func newGround(key string, g tier.Ground) *ground {
	out := &ground{key: key, groups: g.Groups}
	for i := range families {
		out.terrains[i] = newTerrain(&families[i], key, g)
	}
	return out
}

// newTerrain cuts the addresses at the borders of all nets and numbers the
// classes.
func newTerrain(f *family, key string, g tier.Ground) *terrain {
	t := &terrain{fam: f, ground: key, lists: map[string]*netList{}}
	all, in := f.places(g)
	t.segments = f.cut(all)
	numbers, classes := map[string]int{}, make([]int, len(all))
	var open []int // nested prefixes, outermost first
	for i, p := range all {
		for len(open) > 0 && !all[open[len(open)-1]].Contains(p.Addr()) {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			in[i] = in[open[len(open)-1]].with(in[i])
		}
		open = append(open, i)
		name := in[i].String()
		n, ok := numbers[name]
		if !ok {
			n = len(t.names)
			numbers[name] = n
			t.names = append(t.names, name)
		}
		classes[i] = n
	}
	t.weights, t.samples = make([]float64, len(t.names)+1), make([]netip.Addr, len(t.names)+1)
	for i := range t.segments {
		s := &t.segments[i]
		if s.net >= 0 {
			s.net = classes[s.net]
		}
		if !t.samples[s.net+1].IsValid() {
			t.samples[s.net+1] = s.lo
			t.order = append(t.order, s.net)
		}
		t.weights[s.net+1] += size(*s)
	}
	return t
}

// place is where a prefix's addresses are: the innermost of the rules' own nets
// around them, and the groups.
type place struct {
	net    netip.Prefix
	groups []int // sorted
}

func (p place) String() string { return fmt.Sprint(p.net, p.groups) }

// with is p and what lies deeper.
func (p place) with(inner place) place {
	if !inner.net.IsValid() {
		inner.net = p.net
	}
	inner.groups = slices.Concat(p.groups, inner.groups)
	slices.Sort(inner.groups)
	inner.groups = slices.Compact(inner.groups)
	return inner
}

// places are the family's prefixes, sorted, and what each one is by itself.
func (f *family) places(g tier.Ground) ([]netip.Prefix, []place) {
	type entry struct {
		prefix netip.Prefix
		group  int // -1: a rule's own
	}
	var list []entry
	add := func(nets []netip.Prefix, group int) {
		for _, p := range nets {
			if p.IsValid() && familyOf(p.Addr()) == f.index {
				list = append(list, entry{p.Masked(), group})
			}
		}
	}
	add(g.Nets, -1)
	for i := range g.Groups {
		add(g.Groups[i].Nets, i)
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()), cmp.Compare(a.group, b.group))
	})
	var all []netip.Prefix
	var in []place
	for _, e := range list {
		if n := len(all); n == 0 || all[n-1] != e.prefix {
			all, in = append(all, e.prefix), append(in, place{})
		}
		if at := &in[len(in)-1]; e.group < 0 {
			at.net = e.prefix
		} else {
			at.groups = append(at.groups, e.group)
		}
	}
	return all, in
}

// class is the class of an address, or -1.
func (t *terrain) class(a netip.Addr) int { return t.segments[find(t.segments, a)].net }

// of is the classes of an identity's members.
func (t *terrain) of(id int, members []member) []int32 {
	if id >= len(t.peers) {
		t.peers = append(t.peers, make([][]int32, id+1-len(t.peers))...)
	}
	if t.peers[id] == nil {
		t.peers[id] = make([]int32, len(members))
		for i, mb := range members {
			t.peers[id][i] = int32(t.class(mb.addr))
		}
	}
	return t.peers[id]
}

// part is what one class adds to a set of nets: its addresses, with a protocol
// and ports where the set has them.
type part struct {
	class int
	item  item // decisions apart
}

// netList is the elements of a bucket of nets. One that is long has a name of
// its own: the kernel has it once for all profiles that need it.
type netList struct {
	elements []Element
	name     string
}

// longList is from when on a list of nets is shared: below, to see whose it is
// is worth more.
const longList = 64

// list are the boxes of a bucket, merged where neighbours have the same. They
// are made once for all profiles that need the same.
func (t *terrain) list(b bucket, parts []part) *netList {
	key := t.listKey(b, parts)
	if list, ok := t.lists[key]; ok {
		return list
	}
	list := &netList{elements: t.boxes(b, parts)}
	if len(list.elements) >= longList {
		list.name = t.listName(b, parts)
	}
	t.lists[key] = list
	return list
}

// listName stays the same when networks come and go.
func (t *terrain) listName(b bucket, parts []part) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d %d", t.ground, b.level, b.place)
	for _, p := range parts {
		name := "-"
		if p.class >= 0 {
			name = t.names[p.class]
		}
		fmt.Fprintf(h, "|%s %d %d %d", name, p.item.proto, p.item.lo, p.item.hi)
	}
	return fmt.Sprintf("%s%s-%016x", b.word(), t.fam.suffix, h.Sum64())
}

func (t *terrain) boxes(b bucket, parts []part) []Element {
	items := make([][]item, len(t.names)+1)
	for _, p := range parts {
		items[p.class+1] = append(items[p.class+1], p.item)
	}
	r := &raw{}
	last := map[item]int{} // where in r the box is that ends at the last segment
	for _, s := range t.segments {
		now := map[item]int{}
		for _, it := range items[s.net+1] {
			at, joined := last[it]
			if !joined {
				at = len(r.lo)
				r.lo = packKey(r.lo, b, s.lo, it.proto, it.lo)
				r.hi = append(r.hi, r.lo[at:]...)
				r.width = len(r.lo) - at
			}
			packKey(r.hi[:at], b, s.hi, it.proto, it.hi)
			now[it] = at
		}
		last = now
	}
	return r.elements()
}

// listKey tells lists of a terrain apart.
func (t *terrain) listKey(b bucket, parts []part) string {
	k := []byte{byte(b.level), byte(b.place)}
	for _, p := range parts {
		k = binary.AppendVarint(k, int64(p.class))
		k = binary.BigEndian.AppendUint16(append(k, byte(p.item.proto)), p.item.lo)
		k = binary.BigEndian.AppendUint16(k, p.item.hi)
	}
	return string(k)
}
