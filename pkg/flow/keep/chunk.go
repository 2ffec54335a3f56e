package keep

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/netpol-project/netpol/pkg/flow"
)

// Cells are kept in chunks: those of one plane and start, of flows whose
// identities differ in the last chunkBits bits only. A chunk is a checksum and
// then, for each cell, the rest of the identity and its counts as varints.
const chunkBits = 6

// chunkKey is the key of the chunk that a cell is in: start, then identity, so
// that what is old is together.
type chunkKey struct{ start, ids int64 }

func keyOf(start, id int64) chunkKey { return chunkKey{start, id >> chunkBits} }

func (k chunkKey) bytes() []byte {
	b := make([]byte, 0, 16)
	b = binary.BigEndian.AppendUint64(b, uint64(k.start))  //nolint:gosec // moments after 1970
	return binary.BigEndian.AppendUint64(b, uint64(k.ids)) //nolint:gosec // counts from 1
}

var errKey = errors.New("a key is not as it was written")

func parseKey(b []byte) (chunkKey, error) {
	if len(b) != 16 {
		return chunkKey{}, errKey
	}
	return chunkKey{int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))}, nil //nolint:gosec // as above
}

// entry is a cell in its chunk.
type entry struct {
	id   int64
	span flow.Span
}

var checksums = crc32.MakeTable(crc32.Castagnoli)

// encode writes a chunk; entries are sorted by id.
func (k chunkKey) encode(entries []entry) []byte {
	b := make([]byte, 4, 4+40*len(entries))
	for i := range entries {
		e := &entries[i]
		b = append(b, byte(e.id&(1<<chunkBits-1)))
		if e.span.First == 0 {
			b = binary.AppendUvarint(b, 0)
		} else {
			b = binary.AppendVarint(binary.AppendUvarint(b, zigzag(e.span.First-k.start)+1), e.span.Last-e.span.First)
		}
		for _, n := range counts(&e.span) {
			b = binary.AppendVarint(b, *n)
		}
	}
	binary.BigEndian.PutUint32(b, crc32.Checksum(b[4:], checksums))
	return b
}

func counts(s *flow.Span) [6]*int64 {
	return [6]*int64{&s.Started, &s.Completed, &s.PacketsIn, &s.PacketsOut, &s.BytesIn, &s.BytesOut}
}

func zigzag(n int64) uint64 { return uint64(n<<1) ^ uint64(n>>63) } //nolint:gosec // the bits are meant

func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) } //nolint:gosec // the bits are meant

var errChunk = errors.New("a chunk is not as it was written")

// decode calls each for the cells of a chunk.
func (k chunkKey) decode(b []byte, coarse bool, each func(id int64, s *flow.Span)) error {
	if len(b) < 4 || binary.BigEndian.Uint32(b) != crc32.Checksum(b[4:], checksums) {
		return errChunk
	}
	r := reader{b: b[4:]}
	for len(r.b) > 0 {
		id := k.ids<<chunkBits | int64(r.b[0])
		r.b = r.b[1:]
		s := flow.Span{Start: k.start, Coarse: coarse}
		if first := r.uvarint(); first != 0 {
			s.First = k.start + unzigzag(first-1)
			s.Last = s.First + r.varint()
		}
		for _, n := range counts(&s) {
			*n = r.varint()
		}
		if r.bad {
			return errChunk
		}
		each(id, &s)
	}
	return nil
}

// reader reads varints; bad says that there were not enough.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	return v + r.take(n)
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	return v + int64(r.take(n)) //nolint:gosec // always 0
}

func (r *reader) take(n int) uint64 {
	if n <= 0 {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return 0
}
