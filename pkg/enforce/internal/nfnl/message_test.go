//go:build linux

package nfnl

import (
	"bytes"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMessagesReadBack(t *testing.T) {
	var e Encoder
	e.Begin(Header{Type: 10<<8 | 3, Flags: unix.NLM_F_CREATE, Seq: 7, Family: 1, ResID: 10})
	e.String(1, "netpol")
	e.Nest(2)
	e.Uint8(1, 5)
	e.Uint16(2, 0x0102)
	e.Unnest()
	e.Uint64(3, 1<<40)
	e.Put(4, []byte{1, 2, 3})
	e.End()
	e.Begin(Header{Type: 10<<8 | 4, Seq: 8})
	e.Uint32(1, 99)
	e.End()
	e.Flag(unix.NLM_F_ACK)

	m, rest, err := Next(e.Bytes())
	if err != nil || m.Type != 10<<8|3 || m.Seq != 7 || m.Family != 1 || m.ResID != 10 || m.Flags&unix.NLM_F_CREATE == 0 {
		t.Fatalf("got %+v, %v", m, err)
	}
	seen := 0
	Attrs(m.Body, func(typ uint16, data []byte) {
		seen++
		switch typ {
		case 1:
			if String(data) != "netpol" {
				t.Errorf("string %q", data)
			}
		case 2:
			Attrs(data, func(typ uint16, data []byte) {
				if typ == 2 && Uint16(data) != 0x0102 {
					t.Errorf("number % x", data)
				}
			})
		case 3:
			if Uint64(data) != 1<<40 {
				t.Errorf("number % x", data)
			}
		case 4:
			if !bytes.Equal(data, []byte{1, 2, 3}) {
				t.Errorf("bytes % x", data)
			}
		}
	})
	if seen != 4 {
		t.Errorf("%d attributes, want 4", seen)
	}
	m, rest, err = Next(rest)
	if err != nil || len(rest) != 0 || m.Seq != 8 || m.Flags&unix.NLM_F_ACK == 0 {
		t.Fatalf("got %+v, %v, %d bytes left", m, err, len(rest))
	}
}

func TestTakeAndAppend(t *testing.T) {
	var e Encoder
	for seq := range uint32(3) {
		e.Begin(Header{Seq: seq})
		e.Uint32(1, seq)
		e.End()
	}
	last := e.Take()
	e.Flag(unix.NLM_F_ACK) // the one before is the current one again
	_, rest, _ := Next(e.Bytes())
	if m, rest, err := Next(rest); err != nil || len(rest) != 0 || m.Seq != 1 || m.Flags&unix.NLM_F_ACK == 0 {
		t.Errorf("got %+v, %v", m, err)
	}
	e.Reset()
	e.Append(last)
	e.Seq(42)
	if m, _, err := Next(e.Bytes()); err != nil || m.Seq != 42 || len(m.Body) != 8 {
		t.Errorf("got %+v, %v", m, err)
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte{20, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			m, next, err := Next(rest)
			if err != nil {
				return
			}
			if len(next) >= len(rest) {
				t.Fatal("no progress")
			}
			Attrs(m.Body, func(_ uint16, data []byte) { Attrs(data, func(uint16, []byte) {}) })
			rest = next
		}
	})
}
