//go:build linux

package collect

// nameTable is a map from names, as a table with open addressing: a name is a
// hash already, and a place in the table can be filled later than it is found,
// so that a connection's beginning costs one search.
type nameTable struct {
	slots []nameSlot // a power of two, at most three quarters of them used
	used  int
}

// nameSlot is free if its name is zero.
type nameSlot struct {
	name Name
	keep any
}

// leastSlots is how small a table is at first and can become again.
const leastSlots = 64

func newNameTable() *nameTable { return &nameTable{slots: make([]nameSlot, leastSlots)} }

// place is where a name is, or the free slot where it belongs.
func (t *nameTable) place(n Name) int {
	mask := len(t.slots) - 1
	i := int(n.hash) & mask
	for t.slots[i].name != n && t.slots[i].name != (Name{}) {
		i = (i + 1) & mask
	}
	return i
}

func (t *nameTable) has(n Name) bool { return t.slots[t.place(n)].name == n }

// insert makes room for a name; fresh is false if it is there already. What the
// slot keeps may be changed until the next call.
func (t *nameTable) insert(n Name) (slot *nameSlot, fresh bool) {
	if t.used >= len(t.slots)/4*3 {
		t.resize(2 * len(t.slots))
	}
	slot = &t.slots[t.place(n)]
	if slot.name == n {
		return slot, false
	}
	slot.name = n
	t.used++
	return slot, true
}

// remove takes a name out and returns what was kept with it.
func (t *nameTable) remove(n Name) (keep any, ok bool) {
	i := t.place(n)
	if t.slots[i].name != n {
		return nil, false
	}
	keep = t.slots[i].keep
	t.used--
	// What was put behind it for want of this place moves up.
	mask := len(t.slots) - 1
	for j := (i + 1) & mask; t.slots[j].name != (Name{}); j = (j + 1) & mask {
		home := int(t.slots[j].name.hash) & mask
		if (j-home)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = nameSlot{}
	if len(t.slots) > leastSlots && t.used < len(t.slots)/16 {
		t.resize(max(len(t.slots)/4, leastSlots))
	}
	return keep, true
}

func (t *nameTable) resize(size int) {
	old := t.slots
	t.slots = make([]nameSlot, size)
	for i := range old {
		if old[i].name != (Name{}) {
			t.slots[t.place(old[i].name)] = old[i]
		}
	}
}
