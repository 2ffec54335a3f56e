package output

import (
	"slices"
	"strings"
)

// Spare are the columns that a terminal does without that has not the room for
// all of them, in the order in which they go: whole columns, rather than that
// cells take several lines. Those of "A|B" go together.
func (t *Table) Spare(columns ...string) { t.spare = columns }

// Left are the columns that Print left out, in the order of the table.
func (t *Table) Left() []string { return t.left }

// Fits says whether every cell so far has room on one line, with all columns; in a
// pipe it has.
func (t *Table) Fits() bool {
	used := -narrowGap
	for _, w := range t.measure(cellWidth) {
		used += w + narrowGap
	}
	return t.p.Width == 0 || used <= t.p.Width-1
}

// shed leaves spare columns out until every cell is on one line, and takes those
// back for which the last of them made room.
func (t *Table) shed() {
	widths := t.measure(func(c Cell) int {
		if c.Cut {
			return min(cellWidth(c), longestWords[0])
		}
		return cellWidth(c)
	})
	used := -narrowGap
	for _, w := range widths {
		used += w + narrowGap
	}
	room := t.p.Width - 1
	wide := make([]int, len(t.spare)) // how wide those are that go
	for n, names := range t.spare {
		for name := range strings.SplitSeq(names, "|") {
			if i := slices.Index(t.columns, name); i >= 0 && used > room {
				wide[n] += widths[i] + narrowGap
			}
		}
		used -= wide[n]
	}
	var out []int
	for n, names := range slices.Backward(t.spare) {
		if more := used + wide[n]; more <= room {
			used = more
			continue
		}
		for name := range strings.SplitSeq(names, "|") {
			if i := slices.Index(t.columns, name); i >= 0 {
				out = append(out, i)
			}
		}
	}
	slices.Sort(out)
	for _, i := range out {
		t.left = append(t.left, t.columns[i])
	}
	for _, i := range slices.Backward(out) {
		t.remove(i)
	}
}
