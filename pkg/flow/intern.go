package flow

import (
	"reflect"
	"slices"
)

// interned gives equal values one number, from 0.
type interned[T comparable] struct {
	numbers map[T]uint32
	values  []T
}

func (in *interned[T]) number(v T) uint32 {
	n, ok := in.numbers[v]
	if !ok {
		if in.numbers == nil {
			in.numbers = map[T]uint32{}
		}
		n = uint32(len(in.values))
		in.numbers[v] = n
		in.values = append(in.values, v)
	}
	return n
}

// ranks are the places that the values have in order, by their numbers.
func (in *interned[T]) ranks(compare func(a, b T) int) []uint32 {
	order := make([]uint32, len(in.values))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return compare(in.values[a], in.values[b]) })
	out := make([]uint32, len(order))
	for place, n := range order {
		out[n] = uint32(place)
	}
	return out
}

// shared gives equal values that can't be compared one number each; 0 is the nil
// value. Those that were looked at lately are known by their places, which saves
// looking into them.
type shared[T any] struct {
	text    func(T) string // tells values apart
	texts   interned[string]
	values  []T
	byPlace map[place]placed[T]
}

type place struct {
	at  uintptr
	len int
}

// placed holds on to the value, so that nothing else gets its place.
type placed[T any] struct {
	value  T
	number uint32
}

// mostPlaces bounds the values that are known by their places.
const mostPlaces = 1 << 15

func newShared[T any](text func(T) string) *shared[T] {
	s := &shared[T]{text: text, byPlace: map[place]placed[T]{}}
	s.texts.number("")
	s.values = make([]T, 1)
	return s
}

func (s *shared[T]) number(v T) uint32 {
	r := reflect.ValueOf(v)
	if r.IsNil() {
		return 0
	}
	at := place{r.Pointer(), r.Len()}
	if p, ok := s.byPlace[at]; ok {
		return p.number
	}
	n := s.texts.number("=" + s.text(v)) // an empty one is not nil
	if int(n) == len(s.values) {
		s.values = append(s.values, v)
	}
	if len(s.byPlace) >= mostPlaces {
		clear(s.byPlace)
	}
	s.byPlace[at] = placed[T]{v, n}
	return n
}
