package policy

// entries are those of the mappings and lists that a parser reads.
type entries struct {
	stack []entry // of those that are not finished
	slab  []entry // of finished ones
}

// leastSlab is how many entries there is room for at first.
const leastSlab = 64

// finish gives n the entries of the stack from base on, and moves them to where they
// stay.
func (e *entries) finish(n node, base int) node {
	count := len(e.stack) - base
	if cap(e.slab)-len(e.slab) < count {
		// Finished entries stay where they are; only the rest of the slab is lost.
		e.slab = make([]entry, 0, max(leastSlab, 2*cap(e.slab), count))
	}
	from := len(e.slab)
	e.slab = append(e.slab, e.stack[base:]...)
	e.stack = e.stack[:base]
	n.kids = e.slab[from:len(e.slab):len(e.slab)]
	return n
}
