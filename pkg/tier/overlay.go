package tier

import "maps"

// overlay is a map that shares its bulk with the one it was made from, so
// that a model made after a small change costs little. It is not changed once
// the model that holds it is finished.
type overlay[K comparable, V any] struct {
	base  map[K]V
	delta map[K]V // looked at first
}

// maxDelta is how many entries an overlay carries before it is folded into a
// new base: larger makes a change cost more, smaller makes folding frequent.
const maxDelta = 512

func (o overlay[K, V]) get(k K) (V, bool) {
	if len(o.delta) > 0 {
		if v, ok := o.delta[k]; ok {
			return v, true
		}
	}
	v, ok := o.base[k]
	return v, ok
}

// with returns a copy that may be written with set, room for n more entries.
func (o overlay[K, V]) with(n int) overlay[K, V] {
	if len(o.delta)+n > maxDelta {
		base := make(map[K]V, len(o.base)+len(o.delta)+n)
		maps.Copy(base, o.base)
		maps.Copy(base, o.delta)
		return overlay[K, V]{base: base}
	}
	delta := make(map[K]V, len(o.delta)+n)
	maps.Copy(delta, o.delta)
	return overlay[K, V]{base: o.base, delta: delta}
}

// set writes to an overlay fresh from with.
func (o *overlay[K, V]) set(k K, v V) {
	if o.delta == nil {
		o.base[k] = v
		return
	}
	o.delta[k] = v
}

func (o overlay[K, V]) len() int { return len(o.base) + len(o.delta) }

// changed strips what two slices have in common at both ends, by pointer, and
// returns what is left of each. Slices of snapshots are sorted by key, so a
// small change leaves little.
func changed[T any](before, after []*T) (removed, added []*T) {
	n := min(len(before), len(after))
	if n == len(before) && n == len(after) && (n == 0 || &before[0] == &after[0]) {
		return nil, nil // the same array
	}
	i := 0
	for i < n && before[i] == after[i] {
		i++
	}
	before, after = before[i:], after[i:]
	n -= i
	b, a := before[len(before)-n:], after[len(after)-n:]
	for n > 0 && b[n-1] == a[n-1] {
		n--
	}
	before, after = before[:len(before)-len(b)+n], after[:len(after)-len(a)+n]
	if len(before) == 0 || len(after) == 0 {
		return before, after
	}
	kept := make(map[*T]bool, len(before))
	for _, p := range before {
		kept[p] = false
	}
	for _, p := range after {
		if _, ok := kept[p]; ok {
			kept[p] = true
			continue
		}
		added = append(added, p)
	}
	for _, p := range before {
		if !kept[p] {
			removed = append(removed, p)
		}
	}
	return removed, added
}
