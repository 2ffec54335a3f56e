//go:build linux

package collect

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Packet is what the head of an IP packet says. Ports, flags and ICMP's type
// are 0 where there are none: other protocols, later fragments, a head that
// was cut too short. ICMP's ports are as in Connection.Forward.
type Packet struct {
	Src, Dst         netip.Addr
	Protocol         uint8
	SrcPort, DstPort uint16
	// TCP only.
	TCPSeq             uint32
	SYN, ACK           bool
	ICMPType, ICMPCode uint8
	// Fragment: not the first piece of its packet.
	Fragment bool
	// Short: the head goes on where what was copied of it ends, so the rest is
	// not known. The protocol may be that of an IPv6 extension.
	Short bool
}

// ParsePacket reads an IPv4 or IPv6 packet's head; ok is false if it is not
// one, or too short for its addresses.
func ParsePacket(b []byte) (p Packet, ok bool) {
	if len(b) == 0 {
		return p, false
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b)
	case 6:
		return parseIPv6(b)
	}
	return p, false
}

func parseIPv4(b []byte) (p Packet, ok bool) {
	const shortest = 20
	header := int(b[0]&15) * 4
	if len(b) < shortest || header < shortest {
		return p, false
	}
	p.Src, p.Dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
	p.Protocol = b[9]
	p.Fragment = binary.BigEndian.Uint16(b[6:])&0x1fff != 0
	if !p.Fragment {
		p.transport(b[min(header, len(b)):])
	}
	return p, true
}

func parseIPv6(b []byte) (p Packet, ok bool) {
	const header = 40
	if len(b) < header {
		return p, false
	}
	p.Src, p.Dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	p.Protocol = b[6]
	p.extensions(b[header:])
	return p, true
}

// extensions walks IPv6's extension headers to the transport header, the same
// that the kernel walks: mobility is a protocol to it.
func (p *Packet) extensions(b []byte) {
	for {
		size := 0
		switch p.Protocol {
		case unix.IPPROTO_HOPOPTS, unix.IPPROTO_ROUTING, unix.IPPROTO_DSTOPTS:
			if len(b) >= 2 {
				size = (int(b[1]) + 1) * 8
			}
		case unix.IPPROTO_AH:
			if len(b) >= 2 {
				size = (int(b[1]) + 2) * 4
			}
		case unix.IPPROTO_FRAGMENT:
			if size = 8; len(b) >= size && binary.BigEndian.Uint16(b[2:])&0xfff8 != 0 {
				p.Protocol, p.Fragment = b[0], true
				return
			}
		default:
			p.transport(b)
			return
		}
		if p.Short = size == 0 || len(b) < size; p.Short {
			return
		}
		p.Protocol, b = b[0], b[size:]
	}
}

func (p *Packet) transport(b []byte) {
	switch p.Protocol {
	case unix.IPPROTO_TCP, unix.IPPROTO_UDP, unix.IPPROTO_UDPLITE, unix.IPPROTO_SCTP, unix.IPPROTO_DCCP:
		if p.Short = len(b) < 4; p.Short {
			return
		}
		p.SrcPort, p.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		if p.Protocol == unix.IPPROTO_TCP && len(b) >= 14 {
			p.TCPSeq = binary.BigEndian.Uint32(b[4:])
			p.SYN, p.ACK = b[13]&0x02 != 0, b[13]&0x10 != 0
		}
	case unix.IPPROTO_ICMP, unix.IPPROTO_ICMPV6:
		if p.Short = len(b) < 2; p.Short {
			return
		}
		p.ICMPType, p.ICMPCode = b[0], b[1]
		p.DstPort = icmpPort(b[0], b[1])
		if len(b) >= 6 && hasID(p.Protocol, p.ICMPType) {
			p.SrcPort = binary.BigEndian.Uint16(b[4:])
		}
	}
}

func isICMP(protocol uint8) bool {
	return protocol == unix.IPPROTO_ICMP || protocol == unix.IPPROTO_ICMPV6
}

// icmpPort puts ICMP's type and code where others have a destination port.
func icmpPort(typ, code uint8) uint16 { return uint16(typ)<<8 | uint16(code) }

// hasID says whether an ICMP message carries an identifier: echo, and IPv4's
// timestamps, information and address masks, questions and answers.
func hasID(protocol, typ uint8) bool {
	if protocol == unix.IPPROTO_ICMPV6 {
		return typ == 128 || typ == 129
	}
	return typ == 0 || typ == 8 || typ >= 13 && typ <= 18
}
