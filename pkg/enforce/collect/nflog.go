//go:build linux

package collect

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// Denied is a packet that a rule with a log sent us; whether it was refused
// or only logged is what its group and prefix say.
type Denied struct {
	Time     time.Time
	Prefix   string
	IIf, OIf uint32 // interface numbers; 0 is none
	Hook     uint8  // netfilter's number: 1 input, 2 forward
	Mark     uint32
	Packet
}

// Log reads the packets of one nflog group. Each group has a socket of its
// own, so that a flood in one does not starve another.
type Log struct {
	conn  *nfnl.Conn
	group uint16

	last    uint32 // sequence number
	started bool
	// numbered packets came, gaps did not.
	numbered, gaps atomic.Uint64
	unknown        atomic.Bool
}

// nflog's messages and attributes, as linux/netfilter/nfnetlink_log.h numbers
// them.
const (
	nfulnlPacket = 0
	nfulnlConfig = 1

	nfulaCfgCmd    = 1
	nfulaCfgMode   = 2
	nfulaCfgQThres = 5
	nfulaCfgFlags  = 6

	cfgCmdBind    = 1
	cfgCopyPacket = 2
	cfgFlagSeq    = 1

	nfulaPacketHdr = 1
	nfulaMark      = 2
	nfulaTimestamp = 3
	nfulaInDev     = 4
	nfulaOutDev    = 5
	nfulaPayload   = 9
	nfulaPrefix    = 10
	nfulaSeq       = 12
)

// copyLen is how much of a packet is wanted.
const copyLen = 128

// OpenLog binds to a group; ErrGroupTaken if another process has it. Packets
// are kept from now on.
func OpenLog(opts Options, group uint16) (*Log, error) {
	conn, err := nfnl.Open(nfnl.Options{NetNS: opts.NetNS, ReadBuffer: opts.readBuffer()})
	if err != nil {
		return nil, err
	}
	l := &Log{conn: conn, group: group}
	if err := l.configure(); err != nil {
		return nil, errors.Join(fmt.Errorf("nflog group %d: %w", group, err), conn.Close())
	}
	return l, nil
}

// ErrGroupTaken: another process listens to the nflog group (or CAP_NET_ADMIN
// is missing; the kernel's answer is the same).
var ErrGroupTaken = errors.New("another process listens to it")

func (l *Log) configure() error {
	err := l.request(1, func(enc *nfnl.Encoder) { enc.Uint8(nfulaCfgCmd, cfgCmdBind) })
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EBUSY) {
		return ErrGroupTaken
	}
	if err != nil {
		return err
	}
	return l.request(2, func(enc *nfnl.Encoder) {
		mode := binary.BigEndian.AppendUint32(nil, copyLen)
		enc.Put(nfulaCfgMode, append(mode, cfgCopyPacket, 0))
		enc.Uint32(nfulaCfgQThres, 1) // no waiting for more
		enc.Uint16(nfulaCfgFlags, cfgFlagSeq)
	})
}

func (l *Log) request(seq uint32, fill func(*nfnl.Encoder)) error {
	var enc nfnl.Encoder
	enc.Begin(nfnl.Header{
		Type: unix.NFNL_SUBSYS_ULOG<<8 | nfulnlConfig, Flags: unix.NLM_F_ACK, Seq: seq, ResID: l.group,
	})
	fill(&enc)
	enc.End()
	if err := l.conn.Send(enc.Bytes()); err != nil {
		return err
	}
	// Packets may come before the answer.
	buf := make([]byte, maxEvent)
	for {
		n, err := l.conn.Receive(buf)
		if errors.Is(err, unix.ENOBUFS) {
			continue
		}
		if err != nil {
			return err
		}
		for rest := buf[:n]; len(rest) > 0; {
			var m nfnl.Message
			if m, rest, err = nfnl.Next(rest); err != nil {
				return err
			}
			if m.Type == unix.NLMSG_ERROR && m.Seq == seq {
				return m.Err
			}
		}
	}
}

// Run calls each for every packet, until ctx ends; its error is nil then.
func (l *Log) Run(ctx context.Context, each func(*Denied)) error {
	defer context.AfterFunc(ctx, l.conn.Interrupt)()
	buf := make([]byte, 64<<10)
	for {
		n, err := l.conn.Receive(buf)
		switch {
		case ctx.Err() != nil, errors.Is(err, os.ErrClosed):
			return nil
		case errors.Is(err, unix.ENOBUFS):
			continue // the numbers will show how many
		case err != nil:
			return fmt.Errorf("nflog group %d: %w", l.group, err)
		}
		l.datagram(buf[:n], time.Now(), each)
	}
}

func (l *Log) datagram(b []byte, at time.Time, each func(*Denied)) {
	for len(b) > 0 {
		m, rest, err := nfnl.Next(b)
		if err != nil {
			l.unknown.Store(true)
			return
		}
		b = rest
		if m.Type != unix.NFNL_SUBSYS_ULOG<<8|nfulnlPacket {
			continue
		}
		d := Denied{Time: at}
		seq, numbered, ok := d.decode(m.Body)
		if numbered {
			l.count(seq)
		}
		if ok {
			each(&d)
		} else {
			l.unknown.Store(true)
		}
	}
}

// count notes the numbers that are missing.
func (l *Log) count(seq uint32) {
	l.numbered.Add(1)
	missing := seq - l.last - 1 // wraps as the kernel's number does
	switch {
	case !l.started:
	case missing > 1<<31:
		l.unknown.Store(true) // the group was bound anew
	default:
		l.gaps.Add(uint64(missing))
	}
	l.last, l.started = seq, true
}

// decode reads a logged packet; ok is false if its head can't be understood.
func (d *Denied) decode(body []byte) (seq uint32, numbered, ok bool) {
	nfnl.Attrs(body, func(typ uint16, data []byte) {
		switch typ {
		case nfulaPacketHdr:
			if len(data) >= 3 {
				d.Hook = data[2]
			}
		case nfulaMark:
			d.Mark = nfnl.Uint32(data)
		case nfulaTimestamp:
			if len(data) >= 16 && nfnl.Uint64(data) != 0 {
				d.Time = time.Unix(int64(nfnl.Uint64(data)), int64(nfnl.Uint64(data[8:]))*1000)
			}
		case nfulaInDev:
			d.IIf = nfnl.Uint32(data)
		case nfulaOutDev:
			d.OIf = nfnl.Uint32(data)
		case nfulaPayload:
			d.Packet, ok = ParsePacket(data)
		case nfulaPrefix:
			d.Prefix = nfnl.String(data)
		case nfulaSeq:
			seq, numbered = nfnl.Uint32(data), true
		}
	})
	return seq, numbered, ok
}

// Sent is how many packets the kernel has sent so far: those that came, and
// those whose numbers are missing.
func (l *Log) Sent() uint64 { return l.numbered.Load() + l.Loss().Lost }

// Loss is how many packets did not fit into the buffer: what the gaps in
// their numbers show, or what the socket counted if that is more (the latest
// gap shows only when another packet comes).
func (l *Log) Loss() Loss {
	return Loss{Lost: max(l.gaps.Load(), uint64(l.conn.Drops())), Unknown: l.unknown.Load()}
}

// Close ends Run and lets go of the group.
func (l *Log) Close() error { return l.conn.Close() }
