package nfnl

import (
	"encoding/binary"
	"errors"
	"fmt"

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

// Message is one received message.
type Message struct {
	Type   uint16
	Flags  uint16
	Seq    uint32
	PortID uint32 // who caused it
	Family uint8
	ResID  uint16
	Body   []byte // attributes; of an error message what follows the number
	// Err is the kernel's answer of an error message: nil is an acknowledgement.
	Err error
}

// ErrMalformed says that what came is no netlink message.
var ErrMalformed = errors.New("malformed netlink message")

// Next takes the first message off b.
func Next(b []byte) (m Message, rest []byte, err error) {
	if len(b) < unix.SizeofNlMsghdr {
		return m, nil, fmt.Errorf("%d bytes: %w", len(b), ErrMalformed)
	}
	size := int(binary.NativeEndian.Uint32(b))
	if size < unix.SizeofNlMsghdr || size > len(b) {
		return m, nil, fmt.Errorf("length %d of %d bytes: %w", size, len(b), ErrMalformed)
	}
	m.Type, m.Flags = binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:])
	m.Seq, m.PortID = binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:])
	rest = b[min((size+3)&^3, len(b)):]
	body := b[unix.SizeofNlMsghdr:size]
	switch m.Type {
	case unix.NLMSG_ERROR, unix.NLMSG_DONE:
		if len(body) < 4 {
			return m, rest, nil
		}
		if code := int32(binary.NativeEndian.Uint32(body)); code != 0 {
			m.Err = unix.Errno(-code)
		}
		m.Body = body[4:]
	default:
		if len(body) < 4 {
			return m, nil, fmt.Errorf("length %d without a netfilter header: %w", size, ErrMalformed)
		}
		m.Family, m.ResID, m.Body = body[0], binary.BigEndian.Uint16(body[2:]), body[4:]
	}
	return m, rest, nil
}

// Attrs calls each for every attribute of b, without the flag bits in its
// type. It stops at what is malformed.
func Attrs(b []byte, each func(typ uint16, data []byte)) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		each(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}

// Uint32 reads a number in network order; 0 if it is too short.
func Uint32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

// Uint64 reads a number in network order; 0 if it is too short.
func Uint64(b []byte) uint64 {
	if len(b) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// Uint16 reads a number in network order; 0 if it is too short.
func Uint16(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

// String reads a string up to its zero byte.
func String(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
