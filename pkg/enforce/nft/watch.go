//go:build linux

package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// Event is something that another process did to our table.
type Event uint8

// The events. After each of them Resync puts things right.
const (
	// Removed: the table is gone.
	Removed Event = iota + 1
	// Changed: a chain, rule, set or element of ours was added or removed.
	Changed
	// Overrun: more was changed by others than could be followed; our table
	// may or may not be touched.
	Overrun
)

func (e Event) String() string {
	switch e {
	case Removed:
		return "removed"
	case Changed:
		return "changed"
	case Overrun:
		return "overrun"
	}
	return fmt.Sprintf("event %d", uint8(e))
}

// Watch calls each whenever another process removed or changed our table,
// until ctx ends; its error is nil then. Our own commits and other tables
// (kube-proxy's) are not told.
//
// Where the kernel protects the table there is nothing to tell, and nobody
// listens: with a listener the kernel writes a message for every element that
// it commits.
func (k *Kernel) Watch(ctx context.Context, each func(Event)) error {
	if k.owned {
		<-ctx.Done()
		return nil
	}
	conn, err := nfnl.Open(nfnl.Options{
		NetNS: k.opts.NetNS, Groups: []int{unix.NFNLGRP_NFTABLES}, ReadBuffer: 4 << 20,
	})
	if err != nil {
		return fmt.Errorf("watch rules: %w", err)
	}
	defer conn.Close()
	if err := conn.SetFilter(notFrom(k.conn.PortID())); err != nil {
		return fmt.Errorf("watch rules: %w", err)
	}
	defer context.AfterFunc(ctx, conn.Interrupt)()
	// What happened before the socket listened was not heard.
	if missing, err := k.missing(); err != nil {
		return err
	} else if missing {
		each(Removed)
	}
	buf := make([]byte, 1<<16)
	for {
		n, err := conn.Receive(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EMSGSIZE):
			each(Overrun)
		case errors.Is(err, os.ErrDeadlineExceeded), err == nil:
			tell(buf[:n], each)
		default:
			return fmt.Errorf("watch rules: %w", err)
		}
	}
}

func (k *Kernel) missing() (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	exists, _, _, err := k.findTable()
	return !exists, err
}

// tell reports what one datagram says, each kind once.
func tell(datagram []byte, each func(Event)) {
	removed, changed := false, false
	for rest := datagram; len(rest) > 0; {
		m, next, err := nfnl.Next(rest)
		if err != nil {
			break
		}
		rest = next
		if m.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || m.Family != unix.NFPROTO_INET {
			continue
		}
		kind := m.Type & 0xff
		if kind == unix.NFT_MSG_NEWGEN || kind == unix.NFT_MSG_NEWTABLE || !ours(m.Body) {
			continue
		}
		removed = removed || kind == unix.NFT_MSG_DELTABLE
		changed = changed || kind != unix.NFT_MSG_DELTABLE
	}
	if removed {
		each(Removed)
	} else if changed {
		each(Changed)
	}
}

// ours tells whether a message is about our table: attribute 1 is the
// table's name in all of them.
func ours(body []byte) bool {
	found := false
	nfnl.Attrs(body, func(typ uint16, data []byte) {
		if typ == 1 {
			found = nfnl.String(data) == Table
		}
	})
	return found
}

// notFrom is a packet filter that passes messages which others caused. It
// runs in the kernel, so that our own large commits don't fill the buffer.
func notFrom(portID uint32) []unix.SockFilter {
	const portOffset = 12 // in the netlink header
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], portID)
	return []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: portOffset},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: binary.BigEndian.Uint32(b[:])},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff},
	}
}
