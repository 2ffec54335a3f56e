//go:build linux

package nfnl

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// batchSlots is how many messages are read by one call.
	batchSlots = 32
	// MaxMessage is more than any single message of conntrack or a log has.
	// Of a slot only the pages that messages fill take memory.
	MaxMessage = 8 << 10
	// slotStride is between slots: what comes to the same place of each must not
	// compete for the same few lines of a processor's cache.
	slotStride = MaxMessage + 5*64
	// MaxBatch is the bytes that a batch has at most.
	MaxBatch = batchSlots * MaxMessage
)

// mmsghdr is the kernel's struct mmsghdr.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// Batch is room for many messages, which are read at once.
type Batch struct {
	slots   []byte
	vectors [batchSlots]unix.Iovec
	headers [batchSlots]mmsghdr
}

// NewBatch makes room.
func NewBatch() *Batch {
	b := &Batch{slots: make([]byte, batchSlots*slotStride)}
	for i := range b.headers {
		b.vectors[i].Base = &b.slots[i*slotStride]
		b.vectors[i].SetLen(MaxMessage)
		b.headers[i].hdr.Iov = &b.vectors[i]
		b.headers[i].hdr.SetIovlen(1)
	}
	return b
}

// TryReceiveAll appends the messages that are there to buf, as many as a batch
// has room for, each padded so that Next finds them one after another; all
// tells that there were no more. Its errors are those of Receive, but for
// EAGAIN; what was appended before an error is good.
func (c *Conn) TryReceiveAll(buf []byte, b *Batch) (more []byte, all bool, err error) {
	n := 0
	cerr := c.raw.Control(func(fd uintptr) {
		// Raw, since it does not wait: were the runtime told of it, it would
		// watch its threads every 20 µs for a while, which costs more.
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.headers[0])), batchSlots,
			unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
		switch errno {
		case 0:
			n = int(r)
		case unix.EAGAIN:
		default:
			err = os.NewSyscallError("recvmmsg", errno)
		}
	})
	if cerr != nil {
		return buf, false, c.fault(cerr)
	}
	if err != nil {
		return buf, false, err
	}
	for i := range n {
		size := int(b.headers[i].n)
		if size > MaxMessage {
			return buf, false, fmt.Errorf("netlink message of %d bytes does not fit: %w", size, unix.EMSGSIZE)
		}
		at := i * slotStride
		buf = append(buf, b.slots[at:at+size]...)
		for len(buf)%4 != 0 {
			buf = append(buf, 0)
		}
	}
	// Fewer may also mean an error after them, which the next call tells.
	return buf, n == 0, nil
}
