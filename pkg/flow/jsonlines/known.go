package jsonlines

import "hash/maphash"

// Known are values by the bytes that they were read from, so that what is told
// again and again is read once. Two hashes stand for the bytes, with seeds that
// no file can know.
type Known[T any] struct {
	seeds [2]maphash.Seed
	at    map[[2]uint64]*T
}

// mostKnown bounds the values that are known.
const mostKnown = 1 << 15

// NewKnown knows nothing yet.
func NewKnown[T any]() *Known[T] {
	return &Known[T]{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, at: map[[2]uint64]*T{}}
}

// Get is what read makes of the bytes, now or before. Nobody may change it. What
// read refuses is nil, and read again.
func (k *Known[T]) Get(data []byte, read func([]byte) (*T, error)) *T {
	hash := [2]uint64{maphash.Bytes(k.seeds[0], data), maphash.Bytes(k.seeds[1], data)}
	if v, ok := k.at[hash]; ok {
		return v
	}
	v, err := read(data)
	if err != nil {
		return nil
	}
	if len(k.at) >= mostKnown {
		clear(k.at)
	}
	k.at[hash] = v
	return v
}

// Texts holds texts that are told again and again once.
type Texts map[string]string

// Get is the bytes as a text.
func (t Texts) Get(b []byte) string {
	if s, ok := t[string(b)]; ok {
		return s
	}
	if len(t) >= mostKnown {
		clear(t)
	}
	s := string(b)
	t[s] = s
	return s
}

// Value is the text of a value, "" of null; false if encoding/json has to decide.
func (t Texts) Value(value []byte) (string, bool) {
	if IsNull(value) {
		return "", true
	}
	b, ok := Text(value)
	return t.Get(b), ok
}
