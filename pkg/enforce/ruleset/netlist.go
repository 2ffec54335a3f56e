package ruleset

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"net/netip"
)

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

// nets are the elements for addresses that nobody owns; what holds for all
// others it adds to l.
func (t *table) nets(a *asker, l *load) map[bucket][]Element {
	back, whole := t.back, t.whole()
	if whole {
		l.add(stageRest, netip.Addr{}, netip.Addr{}, a.answers.plan(t.back, 0))
	} else {
		back = 0 // what differs from the first table leaves nothing to it
	}
	parts := map[bucket][]part{}
	for _, c := range t.terrain().order {
		if !whole && t.asFirst(c) {
			continue
		}
		for _, it := range a.answers.plan(t.around[c+1], back) {
			b := bucketOf(stageNets, &it)
			it.dec, it.level = 0, 0
			parts[b] = append(parts[b], part{c, it})
		}
	}
	out := make(map[bucket][]Element, len(parts)+8)
	t.long = nil
	for b, parts := range parts {
		list := t.terrain().list(b, parts)
		if out[b] = list.elements; list.name != "" {
			if t.long == nil {
				t.long = map[bucket]string{}
			}
			t.long[b] = list.name
		}
	}
	return out
}
