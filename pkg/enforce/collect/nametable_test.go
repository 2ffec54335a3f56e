//go:build linux

package collect

import (
	"testing"

	"pgregory.net/rapid"
)

// The table is a map, whatever is put in and taken out, also where hashes are
// alike and where it grows and shrinks.
func TestNameTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := newNameTable(), map[Name]int{}
		spread := rapid.SampledFrom([]uint64{1, 3, 1 << 60}).Draw(t, "spread")
		name := rapid.Custom(func(t *rapid.T) Name {
			return Name{hash: rapid.Uint64Range(0, 300).Draw(t, "hash")*spread | 1<<63, id: rapid.Uint64Range(0, 3).Draw(t, "id")}
		})
		for step := range rapid.IntRange(0, 500).Draw(t, "steps") {
			n := name.Draw(t, "name")
			want, there := model[n]
			if table.has(n) != there {
				t.Fatalf("step %d: has %v, want %v", step, !there, there)
			}
			if step%7 < 4 {
				slot, fresh := table.insert(n)
				if fresh == there || there && slot.keep != want {
					t.Fatalf("step %d: fresh %v with %v, want %v with %d", step, fresh, slot.keep, !there, want)
				}
				slot.keep, model[n] = step, step
				continue
			}
			keep, ok := table.remove(n)
			if ok != there || ok && keep != want {
				t.Fatalf("step %d: removed %v %v, want %v %d", step, ok, keep, there, want)
			}
			delete(model, n)
		}
		for n := range model {
			if keep, ok := table.remove(n); !ok || keep != model[n] {
				t.Fatalf("at the end: %v %v, want %d", ok, keep, model[n])
			}
		}
		if table.used != 0 || len(table.slots) != leastSlots {
			t.Fatalf("%d used of %d slots when all are gone", table.used, len(table.slots))
		}
	})
}
