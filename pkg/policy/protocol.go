package policy

import (
	"fmt"
	"strconv"
)

// Protocol is an IP protocol number. 0 means that none was given.
type Protocol uint8

// The protocols that v3 knows by name.
const (
	ICMP    Protocol = 1
	TCP     Protocol = 6
	UDP     Protocol = 17
	ICMPv6  Protocol = 58
	SCTP    Protocol = 132
	UDPLite Protocol = 136
)

var protocolNames = map[Protocol]string{ICMP: "ICMP", TCP: "TCP", UDP: "UDP", ICMPv6: "ICMPv6", SCTP: "SCTP", UDPLite: "UDPLite"}

// String is the protocol's v3 name, or its number.
func (p Protocol) String() string {
	if n, ok := protocolNames[p]; ok {
		return n
	}
	return strconv.Itoa(int(p))
}

// HasPorts says whether rules may give numeric ports for p (S22).
func (p Protocol) HasPorts() bool { return p == TCP || p == UDP || p == SCTP }

// HasTypes says whether p is ICMP or ICMPv6, whose messages have a type and a
// code. Where others have a destination port, those have ICMPPort.
func (p Protocol) HasTypes() bool { return p == ICMP || p == ICMPv6 }

// ICMPPort puts an ICMP type and code where other protocols have a port, so
// that all codes of a type are one interval.
func ICMPPort(typ, code uint8) uint16 { return uint16(typ)<<8 | uint16(code) }

// ICMPTypeCode takes an ICMPPort apart.
func ICMPTypeCode(port uint16) (typ, code uint8) { return uint8(port >> 8), uint8(port) }

// Ports is the interval that m matches of what ICMPPort makes.
func (m *ICMPMatch) Ports() PortRange {
	if m.Code == AnyCode {
		return PortRange{ICMPPort(m.Type, 0), ICMPPort(m.Type, 255)}
	}
	return PortRange{ICMPPort(m.Type, uint8(m.Code)), ICMPPort(m.Type, uint8(m.Code))}
}

// EchoRequest is the ICMPPort of a ping: of ICMPv6 if p is that, else of ICMP.
func EchoRequest(p Protocol) uint16 {
	if p == ICMPv6 {
		return ICMPPort(128, 0)
	}
	return ICMPPort(8, 0)
}

// PortRange is an inclusive range of ports, 0 to 65535, Min <= Max.
type PortRange struct{ Min, Max uint16 }

// Contains says whether port lies in r.
func (r PortRange) Contains(port uint16) bool { return r.Min <= port && port <= r.Max }

// String is the range as v3 writes it: 80 or 80:90.
func (r PortRange) String() string {
	if r.Min == r.Max {
		return strconv.Itoa(int(r.Min))
	}
	return fmt.Sprintf("%d:%d", r.Min, r.Max)
}

// PortText is what people read after the protocol: a port, or of ICMP and
// ICMPv6 the type, and the code where that is not 0 (8, 3:1). Empty for other
// protocols.
func PortText(p Protocol, port uint16) string {
	switch {
	case p.HasTypes():
		typ, code := ICMPTypeCode(port)
		if code == 0 {
			return strconv.Itoa(int(typ))
		}
		return fmt.Sprintf("%d:%d", typ, code)
	case p.HasPorts() || p == UDPLite:
		return strconv.Itoa(int(port))
	}
	return ""
}
