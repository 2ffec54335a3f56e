package prove

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/netpol-project/netpol/pkg/policy"
)

// payload is what follows the IP header: conntrack looks at sums and lengths,
// and what it calls invalid is dropped before any rule of a policy.
func (s *shot) payload() []byte {
	switch policy.Protocol(s.Protocol) {
	case policy.SCTP:
		return s.sctp()
	case policy.ICMP, policy.ICMPv6:
		return s.icmp()
	case policy.UDPLite:
		return s.udpLite()
	}
	p := make([]byte, 16)
	p[2] = 8 // with 47, a GRE header that announces IPv4
	binary.BigEndian.PutUint16(p[4:], uint16(s.SourcePort))
	return p
}

// sctp is a common header and an INIT chunk.
func (s *shot) sctp() []byte {
	p := make([]byte, 32)
	binary.BigEndian.PutUint16(p, uint16(s.SourcePort))
	binary.BigEndian.PutUint16(p[2:], uint16(s.Port))
	p[12], p[15] = 1, 20 // INIT, its length
	binary.BigEndian.PutUint32(p[16:], 1)
	binary.BigEndian.PutUint32(p[20:], 65536)
	binary.BigEndian.PutUint16(p[24:], 1)
	binary.BigEndian.PutUint16(p[26:], 1)
	binary.LittleEndian.PutUint32(p[8:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli))) // low byte first
	return p
}

// icmp is a message with an identifier, long enough for every type.
func (s *shot) icmp() []byte {
	p := make([]byte, 40)
	binary.BigEndian.PutUint16(p, uint16(s.Port))
	binary.BigEndian.PutUint16(p[4:], uint16(s.SourcePort))
	sum := p
	if s.source.Is6() {
		sum = append(s.pseudo(len(p)), p...)
	}
	binary.BigEndian.PutUint16(p[2:], onesSum(sum))
	return p
}

// udpLite covers the whole datagram by its sum.
func (s *shot) udpLite() []byte {
	p := make([]byte, 16)
	binary.BigEndian.PutUint16(p, uint16(s.SourcePort))
	binary.BigEndian.PutUint16(p[2:], uint16(s.Port))
	binary.BigEndian.PutUint16(p[4:], uint16(len(p)))
	sum := onesSum(append(s.pseudo(len(p)), p...))
	if sum == 0 {
		sum = 0xffff // 0 would say that there is none
	}
	binary.BigEndian.PutUint16(p[6:], sum)
	return p
}

// pseudo is the header over which sums of UDP and ICMPv6 go, too.
func (s *shot) pseudo(length int) []byte {
	p := slices.Concat(s.source.AsSlice(), s.dest.AsSlice())
	if s.source.Is4() {
		return append(p, 0, byte(s.Protocol), byte(length>>8), byte(length))
	}
	return append(p, 0, 0, byte(length>>8), byte(length), 0, 0, 0, byte(s.Protocol))
}

// onesSum is the Internet checksum of an even number of bytes.
func onesSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
