//go:build linux

package nfnl

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

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
	for len(b) >= attrHeader {
		typ, data, rest := NextAttr(b)
		if data == nil {
			return
		}
		each(typ, data)
		b = rest
	}
}

const attrHeader = 4

// NextAttr takes the first attribute off b, without the flag bits in its type.
// What is malformed has neither type nor data, and nothing follows it.
func NextAttr(b []byte) (typ uint16, data, rest []byte) {
	if len(b) < attrHeader {
		return 0, nil, nil
	}
	size := int(binary.NativeEndian.Uint16(b))
	if size < attrHeader || size > len(b) {
		return 0, nil, nil
	}
	typ = binary.NativeEndian.Uint16(b[2:]) &^ (unix.NLA_F_NESTED | unix.NLA_F_NET_BYTEORDER)
	return typ, b[attrHeader:size], b[min((size+3)&^3, len(b)):]
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
