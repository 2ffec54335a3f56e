//go:build linux

package collect

import (
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"github.com/netpol-project/netpol/pkg/enforce/internal/nfnl"
)

// Conntrack's messages and attributes, as linux/netfilter/nfnetlink_conntrack.h
// numbers them.
const (
	ctNew    = 0
	ctGet    = 1
	ctDelete = 2

	ctaTupleOrig     = 1
	ctaTupleReply    = 2
	ctaStatus        = 3
	ctaMark          = 8
	ctaCountersOrig  = 9
	ctaCountersReply = 10
	ctaID            = 12
	ctaZone          = 18
	ctaTimestamp     = 20

	ctaTupleIP    = 1
	ctaTupleProto = 2

	ctaIPv4Src = 1
	ctaIPv4Dst = 2
	ctaIPv6Src = 3
	ctaIPv6Dst = 4

	ctaProtoNum     = 1
	ctaProtoSrcPort = 2
	ctaProtoDstPort = 3
	ctaICMPID       = 4
	ctaICMPType     = 5
	ctaICMPCode     = 6
	ctaICMPv6ID     = 7
	ctaICMPv6Type   = 8
	ctaICMPv6Code   = 9

	ctaCountersPackets = 1
	ctaCountersBytes   = 2

	ctaTimestampStart = 1
	ctaTimestampStop  = 2

	statusSeenReply = 1 << 1
)

// decode reads an entry of conntrack; ok is false if it has no addresses.
func decode(body []byte) (c Connection, ok bool) {
	ok = c.decode(body)
	return c, ok
}

// decode is decode into a connection that is zero.
func (c *Connection) decode(body []byte) (ok bool) {
	nfnl.Attrs(body, func(typ uint16, data []byte) {
		switch typ {
		case ctaTupleOrig:
			c.tuple(data, &c.Original)
		case ctaTupleReply:
			// ICMP's type and code are those of the question.
			id, kind, code := c.ICMPID, c.ICMPType, c.ICMPCode
			c.tuple(data, &c.Reply)
			c.ICMPID, c.ICMPType, c.ICMPCode = id, kind, code
		case ctaStatus:
			c.Replied = nfnl.Uint32(data)&statusSeenReply != 0
		case ctaMark:
			c.Mark = nfnl.Uint32(data)
		case ctaCountersOrig:
			c.Sent = counters(data)
		case ctaCountersReply:
			c.Received = counters(data)
		case ctaID:
			c.ID = nfnl.Uint32(data)
		case ctaZone:
			c.Zone = nfnl.Uint16(data)
		case ctaTimestamp:
			c.times(data)
		}
	})
	return c.Original.Src.IsValid() && c.Original.Dst.IsValid()
}

func (c *Connection) tuple(data []byte, t *Tuple) {
	nfnl.Attrs(data, func(typ uint16, data []byte) {
		switch typ {
		case ctaTupleIP:
			nfnl.Attrs(data, func(typ uint16, data []byte) {
				addr, ok := netip.AddrFromSlice(data)
				if !ok {
					return
				}
				switch typ {
				case ctaIPv4Src, ctaIPv6Src:
					t.Src = addr
				case ctaIPv4Dst, ctaIPv6Dst:
					t.Dst = addr
				}
			})
		case ctaTupleProto:
			c.proto(data, t)
		}
	})
}

func (c *Connection) proto(data []byte, t *Tuple) {
	nfnl.Attrs(data, func(typ uint16, data []byte) {
		if len(data) == 0 {
			return
		}
		switch typ {
		case ctaProtoNum:
			c.Protocol = data[0]
		case ctaProtoSrcPort:
			t.SrcPort = nfnl.Uint16(data)
		case ctaProtoDstPort:
			t.DstPort = nfnl.Uint16(data)
		case ctaICMPID, ctaICMPv6ID:
			c.ICMPID = nfnl.Uint16(data)
		case ctaICMPType, ctaICMPv6Type:
			c.ICMPType = data[0]
		case ctaICMPCode, ctaICMPv6Code:
			c.ICMPCode = data[0]
		}
	})
}

func counters(data []byte) (c Counters) {
	nfnl.Attrs(data, func(typ uint16, data []byte) {
		switch typ {
		case ctaCountersPackets:
			c.Packets = nfnl.Uint64(data)
		case ctaCountersBytes:
			c.Bytes = nfnl.Uint64(data)
		}
	})
	return c
}

func (c *Connection) times(data []byte) {
	nfnl.Attrs(data, func(typ uint16, data []byte) {
		ns := nfnl.Uint64(data)
		if ns == 0 {
			return
		}
		switch typ {
		case ctaTimestampStart:
			c.Start = time.Unix(0, int64(ns)).UTC()
		case ctaTimestampStop:
			c.End = time.Unix(0, int64(ns)).UTC()
		}
	})
}

// encodeOriginal adds what names a connection to the kernel.
func encodeOriginal(enc *nfnl.Encoder, c *Connection) {
	enc.Nest(ctaTupleOrig)
	enc.Nest(ctaTupleIP)
	if c.Original.Src.Is4() {
		enc.Put(ctaIPv4Src, c.Original.Src.AsSlice())
		enc.Put(ctaIPv4Dst, c.Original.Dst.AsSlice())
	} else {
		enc.Put(ctaIPv6Src, c.Original.Src.AsSlice())
		enc.Put(ctaIPv6Dst, c.Original.Dst.AsSlice())
	}
	enc.Unnest()
	enc.Nest(ctaTupleProto)
	enc.Uint8(ctaProtoNum, c.Protocol)
	switch c.Protocol {
	case unix.IPPROTO_ICMP:
		enc.Uint16(ctaICMPID, c.ICMPID)
		enc.Uint8(ctaICMPType, c.ICMPType)
		enc.Uint8(ctaICMPCode, c.ICMPCode)
	case unix.IPPROTO_ICMPV6:
		enc.Uint16(ctaICMPv6ID, c.ICMPID)
		enc.Uint8(ctaICMPv6Type, c.ICMPType)
		enc.Uint8(ctaICMPv6Code, c.ICMPCode)
	default:
		enc.Uint16(ctaProtoSrcPort, c.Original.SrcPort)
		enc.Uint16(ctaProtoDstPort, c.Original.DstPort)
	}
	enc.Unnest()
	enc.Unnest()
}
