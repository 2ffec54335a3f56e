//go:build linux

package nfnl

import (
	"bytes"
	"testing"
)

// Whatever comes is taken apart within its bounds, and what is put together
// from it reads the same.
func FuzzMessages(f *testing.F) {
	var enc Encoder
	enc.Begin(Header{Type: 0x100, Seq: 7})
	enc.Nest(1)
	enc.String(2, "name")
	enc.Uint32(3, 5)
	enc.Unnest()
	enc.End()
	enc.Begin(Header{Type: 2})
	enc.End()
	f.Add(enc.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			m, next, err := Next(rest)
			if err != nil {
				return
			}
			if len(next) >= len(rest) {
				t.Fatalf("%d bytes are left of %d", len(next), len(rest))
			}
			rest = next
			size := 0
			Attrs(m.Body, func(typ uint16, data []byte) {
				size += 4 + len(data)
				var enc Encoder
				enc.Put(typ, data)
				Attrs(enc.Bytes(), func(again uint16, copied []byte) {
					if again != typ || !bytes.Equal(copied, data) {
						t.Errorf("%d %x became %d %x", typ, data, again, copied)
					}
				})
				_, _, _, _ = Uint16(data), Uint32(data), Uint64(data), String(data)
			})
			if size > len(m.Body) {
				t.Errorf("%d bytes of attributes out of %d", size, len(m.Body))
			}
		}
	})
}
