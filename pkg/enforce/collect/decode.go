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
	ctaProtoInfo     = 4
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

	ctaProtoInfoTCP      = 1
	ctaProtoInfoTCPState = 1

	statusSeenReply = 1 << 1
	statusAssured   = 1 << 2
)

// decode reads an entry of conntrack; ok is false if it has no addresses.
func decode(body []byte) (c Connection, ok bool) {
	ok = c.decode(body)
	return c, ok
}

// decode is decode into a connection that is zero. There are two messages for
// every connection of the node, so attributes are walked without a call for
// each.
func (c *Connection) decode(b []byte) (ok bool) {
	for len(b) > 0 {
		var typ uint16
		var data []byte
		typ, data, b = nfnl.NextAttr(b)
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
			c.Assured = nfnl.Uint32(data)&statusAssured != 0
		case ctaProtoInfo:
			c.protoInfo(data)
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
	}
	return c.Original.Src.IsValid() && c.Original.Dst.IsValid()
}

func (c *Connection) tuple(b []byte, t *Tuple) {
	for len(b) > 0 {
		var typ uint16
		var data []byte
		typ, data, b = nfnl.NextAttr(b)
		switch typ {
		case ctaTupleIP:
			t.addresses(data)
		case ctaTupleProto:
			c.proto(data, t)
		}
	}
}

func (t *Tuple) addresses(b []byte) {
	for len(b) > 0 {
		var typ uint16
		var data []byte
		typ, data, b = nfnl.NextAttr(b)
		addr, ok := netip.AddrFromSlice(data)
		if !ok {
			continue
		}
		switch typ {
		case ctaIPv4Src, ctaIPv6Src:
			t.Src = addr
		case ctaIPv4Dst, ctaIPv6Dst:
			t.Dst = addr
		}
	}
}

func (c *Connection) proto(b []byte, t *Tuple) {
	for len(b) > 0 {
		var typ uint16
		var data []byte
		typ, data, b = nfnl.NextAttr(b)
		if len(data) == 0 {
			continue
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
	}
}

// protoInfo reads the state of TCP.
func (c *Connection) protoInfo(b []byte) {
	nfnl.Attrs(b, func(typ uint16, data []byte) {
		if typ != ctaProtoInfoTCP {
			return
		}
		nfnl.Attrs(data, func(typ uint16, data []byte) {
			if typ == ctaProtoInfoTCPState && len(data) > 0 {
				c.TCPState = TCPState(data[0])
			}
		})
	})
}

func counters(b []byte) (c Counters) {
	for len(b) > 0 {
		var typ uint16
		var data []byte
		typ, data, b = nfnl.NextAttr(b)
		switch typ {
		case ctaCountersPackets:
			c.Packets = nfnl.Uint64(data)
		case ctaCountersBytes:
			c.Bytes = nfnl.Uint64(data)
		}
	}
	return c
}

func (c *Connection) times(b []byte) {
	nfnl.Attrs(b, func(typ uint16, data []byte) {
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
