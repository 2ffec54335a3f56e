//go:build linux

package nfnl

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Encoder builds messages one after another. The zero value is ready.
type Encoder struct {
	buf  []byte
	open []int // starts of attributes that are being nested
	msg  int   // start of the current message
	prev int   // and of the one before
}

// Header is what goes before a message's attributes.
type Header struct {
	Type   uint16 // subsystem << 8 | message
	Flags  uint16
	Seq    uint32
	Family uint8
	ResID  uint16
}

// Begin starts a message; End ends it.
func (e *Encoder) Begin(h Header) {
	e.prev, e.msg = e.msg, len(e.buf)
	e.buf = binary.NativeEndian.AppendUint32(e.buf, 0)
	e.buf = binary.NativeEndian.AppendUint16(e.buf, h.Type)
	e.buf = binary.NativeEndian.AppendUint16(e.buf, h.Flags|unix.NLM_F_REQUEST)
	e.buf = binary.NativeEndian.AppendUint32(e.buf, h.Seq)
	e.buf = binary.NativeEndian.AppendUint32(e.buf, 0)
	e.buf = append(e.buf, h.Family, 0)
	e.buf = binary.BigEndian.AppendUint16(e.buf, h.ResID)
}

// End ends the message that Begin started.
func (e *Encoder) End() { binary.NativeEndian.PutUint32(e.buf[e.msg:], uint32(len(e.buf)-e.msg)) }

// Flag adds flags to the current message.
func (e *Encoder) Flag(flags uint16) {
	at := e.buf[e.msg+6:]
	binary.NativeEndian.PutUint16(at, binary.NativeEndian.Uint16(at)|flags)
}

// Seq changes the current message's sequence number.
func (e *Encoder) Seq(seq uint32) {
	binary.NativeEndian.PutUint32(e.buf[e.msg+8:], seq)
}

// Take removes the current message, which has ended, and returns its bytes;
// the one before is the current one then. Append puts it into another place.
func (e *Encoder) Take() []byte {
	m := append([]byte(nil), e.buf[e.msg:]...)
	e.buf, e.msg = e.buf[:e.msg], e.prev
	return m
}

// Append adds a message that Take returned.
func (e *Encoder) Append(message []byte) {
	e.prev, e.msg = e.msg, len(e.buf)
	e.buf = append(e.buf, message...)
}

// Bytes are all messages so far.
func (e *Encoder) Bytes() []byte { return e.buf }

// Len is how many bytes there are so far.
func (e *Encoder) Len() int { return len(e.buf) }

// Reset forgets everything but the memory.
func (e *Encoder) Reset() { e.buf, e.open = e.buf[:0], e.open[:0] }

func (e *Encoder) attr(typ uint16, size int) {
	e.buf = binary.NativeEndian.AppendUint16(e.buf, uint16(size+4))
	e.buf = binary.NativeEndian.AppendUint16(e.buf, typ)
}

func (e *Encoder) pad() {
	for len(e.buf)%4 != 0 {
		e.buf = append(e.buf, 0)
	}
}

// Put adds an attribute of plain bytes.
func (e *Encoder) Put(typ uint16, data []byte) {
	e.attr(typ, len(data))
	e.buf = append(e.buf, data...)
	e.pad()
}

// String adds a zero-terminated string.
func (e *Encoder) String(typ uint16, s string) {
	e.attr(typ, len(s)+1)
	e.buf = append(e.buf, s...)
	e.buf = append(e.buf, 0)
	e.pad()
}

// Raw adds an attribute whose bytes are in a string.
func (e *Encoder) Raw(typ uint16, data string) {
	e.attr(typ, len(data))
	e.buf = append(e.buf, data...)
	e.pad()
}

// Uint8 adds a byte.
func (e *Encoder) Uint8(typ uint16, v uint8) {
	e.attr(typ, 1)
	e.buf = append(e.buf, v, 0, 0, 0)
}

// Uint16 adds a number in network order.
func (e *Encoder) Uint16(typ, v uint16) {
	e.attr(typ, 2)
	e.buf = binary.BigEndian.AppendUint16(e.buf, v)
	e.pad()
}

// Uint32 adds a number in network order.
func (e *Encoder) Uint32(typ uint16, v uint32) {
	e.attr(typ, 4)
	e.buf = binary.BigEndian.AppendUint32(e.buf, v)
}

// Uint64 adds a number in network order.
func (e *Encoder) Uint64(typ uint16, v uint64) {
	e.attr(typ, 8)
	e.buf = binary.BigEndian.AppendUint64(e.buf, v)
}

// Nest starts an attribute that holds attributes; Unnest ends it.
func (e *Encoder) Nest(typ uint16) {
	e.open = append(e.open, len(e.buf))
	e.attr(typ|unix.NLA_F_NESTED, 0)
}

// Unnest ends the innermost Nest. An attribute holds at most 65 535 bytes;
// the caller splits before (see NestLen).
func (e *Encoder) Unnest() {
	start := e.open[len(e.open)-1]
	e.open = e.open[:len(e.open)-1]
	binary.NativeEndian.PutUint16(e.buf[start:], uint16(len(e.buf)-start))
}

// NestLen is how many bytes the innermost open attribute has so far.
func (e *Encoder) NestLen() int { return len(e.buf) - e.open[len(e.open)-1] }
