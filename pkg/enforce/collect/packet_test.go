//go:build linux

package collect

import (
	"net/netip"
	"testing"
)

func ipv4(protocol byte, fragment uint16, rest ...byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 0, byte(fragment >> 8), byte(fragment), 64, protocol, 0, 0, 10, 1, 0, 2, 10, 2, 0, 2}
	return append(b, rest...)
}

func ipv6(next byte, rest ...byte) []byte {
	b := []byte{0x60, 0, 0, 0, 0, 0, next, 64}
	src, dst := netip.MustParseAddr("fd01::2").As16(), netip.MustParseAddr("fd02::2").As16()
	b = append(append(b, src[:]...), dst[:]...)
	return append(b, rest...)
}

func TestParsePacket(t *testing.T) {
	tcp := []byte{0x9c, 0x40, 0x1f, 0x90, 1, 2, 3, 4, 0, 0, 0, 0, 0x50, 0x02, 0, 0}
	udp := []byte{0x9c, 0x40, 0, 53, 0, 8, 0, 0}
	a4, b4 := netip.MustParseAddr("10.1.0.2"), netip.MustParseAddr("10.2.0.2")
	a6, b6 := netip.MustParseAddr("fd01::2"), netip.MustParseAddr("fd02::2")
	extension := func(next byte, rest []byte) []byte { return append([]byte{next, 0, 0, 0, 0, 0, 0, 0}, rest...) }
	fragment := func(next byte, offset byte, rest []byte) []byte {
		return append([]byte{next, 0, 0, offset << 3, 0, 0, 0, 1}, rest...)
	}
	synACK := append([]byte(nil), tcp...)
	synACK[13] = 0x12
	for _, c := range []struct {
		name  string
		bytes []byte
		want  Packet
		bad   bool
	}{
		{"TCP SYN", ipv4(6, 0, tcp...), Packet{Src: a4, Dst: b4, Protocol: 6, SrcPort: 40000, DstPort: 8080, TCPSeq: 0x01020304, SYN: true}, false},
		{"TCP SYN ACK", ipv4(6, 0, synACK...), Packet{Src: a4, Dst: b4, Protocol: 6, SrcPort: 40000, DstPort: 8080, TCPSeq: 0x01020304, SYN: true, ACK: true}, false},
		{"first fragment", ipv4(17, 0x2000, udp...), Packet{Src: a4, Dst: b4, Protocol: 17, SrcPort: 40000, DstPort: 53}, false},
		{"later fragment", ipv4(17, 0x0010, udp...), Packet{Src: a4, Dst: b4, Protocol: 17, Fragment: true}, false},
		{"options", append([]byte{0x46}, append(ipv4(17, 0)[1:], append([]byte{1, 1, 1, 1}, udp...)...)...), Packet{Src: a4, Dst: b4, Protocol: 17, SrcPort: 40000, DstPort: 53}, false},
		{"ICMP", ipv4(1, 0, 8, 0), Packet{Src: a4, Dst: b4, Protocol: 1, ICMPType: 8, DstPort: 0x0800}, false},
		{"ping", ipv4(1, 0, 8, 0, 0, 0, 0x12, 0x34), Packet{Src: a4, Dst: b4, Protocol: 1, ICMPType: 8, SrcPort: 0x1234, DstPort: 0x0800}, false},
		{"ICMP without an identifier", ipv4(1, 0, 3, 4, 0, 0, 0x12, 0x34), Packet{Src: a4, Dst: b4, Protocol: 1, ICMPType: 3, ICMPCode: 4, DstPort: 0x0304}, false},
		{"SCTP", ipv4(132, 0, udp...), Packet{Src: a4, Dst: b4, Protocol: 132, SrcPort: 40000, DstPort: 53}, false},
		{"GRE has no ports", ipv4(47, 0, udp...), Packet{Src: a4, Dst: b4, Protocol: 47}, false},
		{"ports only", ipv4(6, 0, tcp[:4]...), Packet{Src: a4, Dst: b4, Protocol: 6, SrcPort: 40000, DstPort: 8080}, false},
		{"cut before the ports", ipv4(6, 0, 1, 2, 3), Packet{Src: a4, Dst: b4, Protocol: 6, Short: true}, false},
		{"cut before ICMP's type", ipv4(1, 0, 8), Packet{Src: a4, Dst: b4, Protocol: 1, Short: true}, false},
		{"IPv6 UDP", ipv6(17, udp...), Packet{Src: a6, Dst: b6, Protocol: 17, SrcPort: 40000, DstPort: 53}, false},
		{"ICMPv6", ipv6(58, 128, 0, 0, 0, 0, 7), Packet{Src: a6, Dst: b6, Protocol: 58, ICMPType: 128, SrcPort: 7, DstPort: 0x8000}, false},
		{"extension headers", ipv6(0, extension(60, extension(43, extension(6, tcp)))...), Packet{Src: a6, Dst: b6, Protocol: 6, SrcPort: 40000, DstPort: 8080, TCPSeq: 0x01020304, SYN: true}, false},
		{"authentication header", ipv6(51, append([]byte{17, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, udp...)...), Packet{Src: a6, Dst: b6, Protocol: 17, SrcPort: 40000, DstPort: 53}, false},
		{"IPv6 first fragment", ipv6(44, fragment(17, 0, udp)...), Packet{Src: a6, Dst: b6, Protocol: 17, SrcPort: 40000, DstPort: 53}, false},
		{"IPv6 later fragment", ipv6(44, fragment(17, 1, udp)...), Packet{Src: a6, Dst: b6, Protocol: 17, Fragment: true}, false},
		{"mobility is a protocol", ipv6(135, extension(6, tcp)...), Packet{Src: a6, Dst: b6, Protocol: 135}, false},
		{"extensions go on past what was copied", ipv6(60, append([]byte{6, 20}, make([]byte, 86)...)...), Packet{Src: a6, Dst: b6, Protocol: 60, Short: true}, false},
		{"extensions end with what was copied", ipv6(60, append([]byte{6, 10}, make([]byte, 86)...)...), Packet{Src: a6, Dst: b6, Protocol: 6, Short: true}, false},
		{"cut in an extension header", ipv6(0, 6, 9, 0), Packet{Src: a6, Dst: b6, Protocol: 0, Short: true}, false},
		{"nothing", nil, Packet{}, true},
		{"neither version", []byte{0x55, 1, 2}, Packet{}, true},
		{"short IPv4", ipv4(6, 0)[:19], Packet{}, true},
		{"header length below 20", append([]byte{0x44}, ipv4(6, 0)[1:]...), Packet{}, true},
		{"short IPv6", ipv6(6)[:39], Packet{}, true},
	} {
		got, ok := ParsePacket(c.bytes)
		if ok == c.bad || got != c.want {
			t.Errorf("%s: got %+v, %v", c.name, got, ok)
		}
	}
}

func FuzzParsePacket(f *testing.F) {
	f.Add(ipv4(6, 0, make([]byte, 20)...))
	f.Add(ipv6(0, 44, 0, 0, 0, 0, 0, 0, 0, 17, 0, 0, 8, 0, 0, 0, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := ParsePacket(b)
		if ok != (p.Src.IsValid() && p.Dst.IsValid()) {
			t.Errorf("ok is %v with %+v", ok, p)
		}
		if p.Fragment && (p.SrcPort != 0 || p.DstPort != 0) {
			t.Errorf("ports in a later fragment: %+v", p)
		}
		if p.Short && (p.SrcPort != 0 || p.DstPort != 0 || p.Fragment) {
			t.Errorf("more is known than was there: %+v", p)
		}
	})
}
